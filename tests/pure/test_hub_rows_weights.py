"""How large weights are, by the files of a repository: a whole set, the smallest of several, or unknown."""

from typing import Any

import pytest

from hub.catalog.weights import files_bytes

GB = 10**9


def listed(*files: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"rfilename": name, "size": size} for name, size in files]


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ([("m.Q4_K_M.gguf", 4 * GB)], 4 * GB),
        ([("m.Q8_0.gguf", 8 * GB), ("m.Q4_K_M.gguf", 4 * GB), ("README.md", 5)], 4 * GB),
        ([("Q4/m-00001-of-00002.gguf", 3), ("Q4/m-00002-of-00002.gguf", 4), ("m.Q8.gguf", 9)], 7),
        ([("m.gguf", 9), ("mmproj-m.gguf", 1), ("m.imatrix.gguf", 2)], 9),
        ([("pytorch_model.bin", 400)], 400),
        ([("pytorch_model-00001-of-00002.bin", 1), ("pytorch_model-00002-of-00002.bin", 2)], 3),
        ([("model.safetensors", 200), ("pytorch_model.bin", 400), ("m.gguf", 1)], 200),
        ([("adapter_model.safetensors", 200)], None),
        ([("m-00001-of-00002.gguf", 3)], None),
        ([("m-00001-of-00002.gguf", 3), ("m-00001-of-00002.gguf", 3)], None),
        ([("m-00001-of-99999.gguf", 3)], None),
        ([("m-00001-of-00000.gguf", 3)], None),
        ([("m.Q8.gguf", 8), ("m.Q4.gguf", None)], None),
        ([("m.gguf", -1)], None), ([("m.gguf", "8")], None), ([("m.gguf", 10**19)], None), ([("m.gguf", 0)], None),
        ([("x" * 5_000 + ".gguf", 8)], None), ([(7, 8)], None), ([], None),
    ],
)  # fmt: skip
def test_the_size_is_that_of_a_whole_set_whose_every_file_tells_its_own(files: Any, size: int | None):
    assert files_bytes(listed(*files)) == size


@pytest.mark.parametrize("siblings", [None, "x", {}, [None, 7, [], {"size": 3}], 10**30])
def test_what_is_no_list_of_files_says_nothing(siblings: Any):
    assert files_bytes(siblings) is None
