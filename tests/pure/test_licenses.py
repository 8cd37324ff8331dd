"""Licences as people write them, as SPDX ids; never a guess."""

import pytest

from hub.licenses import family_of, named, spdx_of


@pytest.mark.parametrize(
    ("raw", "spdx", "family"),
    [
        ("apache-2.0", "Apache-2.0", "permissive"),
        ("license:mit", "MIT", "permissive"),
        ("MIT License", "MIT", "permissive"),
        ("Apache License 2.0", "Apache-2.0", "permissive"),
        ("  CC_BY 4.0 ", "CC-BY-4.0", "permissive"),
        ("gpl-3.0", "GPL-3.0-only", "copyleft"),
        ("agpl-3.0", "AGPL-3.0-only", "copyleft"),
        ("lgpl-2.1", "LGPL-2.1-only", "weak-copyleft"),
        ("mpl-2.0", "MPL-2.0", "weak-copyleft"),
        ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0", "non-commercial"),
        ("cc0-1.0", "CC0-1.0", "public-domain"),
        ("bsl-1.0", "BSL-1.0", "permissive"),
        ("odc-by", "ODC-By-1.0", "permissive"),
        ("openrail", None, "responsible-use"),
        ("bigscience-bloom-rail-1.0", None, "responsible-use"),
        ("creativeml-openrail-m", None, "responsible-use"),
        ("llama3.1", None, "vendor"),
        ("gemma", None, "vendor"),
        ("gpl", None, None),
        ("bsd", None, None),
        ("cc", None, None),
        ("other", None, None),
        ("unknown", None, None),
        ("trailing", None, None),
        ("mit OR apache-2.0", None, None),
        ("", None, None),
        (None, None, None),
        ("x" * 10_000, None, None),
        ("mit\x00", None, None),
    ],
)
def test_a_licence_is_the_spdx_id_that_it_is_or_none(raw: str | None, spdx: str | None, family: str | None) -> None:
    assert spdx_of(raw) == spdx
    assert family_of(raw) == family


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("mit", "MIT"),
        ("llama3.1", "LicenseRef-llama3.1"),
        ("LicenseRef-llama3.1", "LicenseRef-llama3.1"),
        ("openrail++", "LicenseRef-openrailpp"),
        ("other", None),
        ("mit or apache-2.0", None),
        ("Evil\x1b[2J", None),
        (None, None),
    ],
)
def test_what_spdx_does_not_list_has_a_name_of_its_own_and_what_is_unknown_has_none(
    raw: str | None, name: str | None
) -> None:
    assert named(raw) == name
    assert named(name) == name, "a name names itself"


def test_ids_that_spdx_gave_up_are_never_given() -> None:
    assert spdx_of("GPL-2.0") == "GPL-2.0-only"
    assert spdx_of("GPL-2.0-or-later") == "GPL-2.0-or-later"
    assert spdx_of("LicenseRef-Apache") is None
