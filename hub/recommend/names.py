"""What a sentence may name or demand without a number: licences, places, providers, makers, conditions. Data."""

import re
from collections.abc import Mapping

Rule = tuple[re.Pattern[str], str, object]


def _rule(pattern: str, field: str, value: object) -> Rule:
    return re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])"), field, value


LICENSES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])"), ids)
    for pattern, ids in (
        (r"mit(?=[ -]?(?:licen[cs]\w*|lizenz\w*|/| or apache| oder apache|,? ?apache))", ("MIT",)),
        (r"(?<=licen[cs]e )mit|(?<=licen[cs]e: )mit|(?<=licencia )mit", ("MIT",)),
        (r"apache(?:[ -]?(?:v(?:ersion)?)?[ -]?2(?:\.0)?)?(?:[ -]licen[cs]\w*|[ -]lizenz\w*)?", ("Apache-2.0",)),
        (r"bsd(?:[ -][23](?:[ -]clause)?)?(?:[ -]licen[cs]\w*)?", ("BSD-2-Clause", "BSD-3-Clause")),
        (r"agpl(?:[ -]?v?3(?:\.0)?)?", ("AGPL",)),
        (r"lgpl(?:[ -]?v?[23](?:\.\d)?)?", ("LGPL",)),
        (r"gpl(?:[ -]?v?[23](?:\.0)?)?", ("GPL",)),
        (r"cc[ -]?by[ -]?nc(?:[ -]?sa)?(?:[ -]?\d\.\d)?", ("CC-BY-NC", "CC-BY-NC-SA")),
        (r"cc[ -]?by[ -]?sa(?:[ -]?\d\.\d)?", ("CC-BY-SA",)),
        (r"cc[ -]?by(?:[ -]?\d(?:\.\d)?)?", ("CC-BY",)),
        (r"cc[ -]?0|public domain", ("CC0", "public-domain")),
        (r"mpl(?:[ -]?2(?:\.0)?)?", ("MPL",)),
        (r"open ?rail\w*|rail licen[cs]\w*", ("responsible-use",)),
        ((
            r"(?:llama|gemma|vendor|custom|proprietary)(?:[ -]community)?(?:[ -]licen[cs]\w*|[ -]lizenz\w*| terms)"
        ), ("vendor",)),
        (r"copyleft|viral licen[cs]\w*", ("copyleft", "weak-copyleft")),
        ((
            r"open[ -]source licen[cs]\w*|osi(?:[ -]approved)?(?: licen[cs]\w*)?|open licen[cs]\w*|licen[cs]ia "
            r"libre|licen[cs]e libre|freie lizenz\w*|libre licen[cs]\w*"
        ), ("open-source",)),
    )
)  # fmt: skip
"""A licence's words, and the ids or families (`hub.licenses.Family`, and `open-source`) that they stand for. An id
without its version stands for every version."""

OPEN_SOURCE = frozenset({"permissive", "public-domain", "weak-copyleft", "copyleft"})
"""Families that allow use for money without terms of their maker's own."""

REGIONS: Mapping[str, str] = {
    "eu": (
        r"eu|europe|european|european union|europa|europaisch\w*|europeen\w*|europea?|union europeenne|ue|gdpr|"
        r"dsgvo|rgpd|eea"
    ),
    "us": r"us|usa|u\.s\.?|united states|america|american|vereinigte staaten|etats unis|estados unidos",
    "uk": r"uk|united kingdom|britain|england|great britain",
    "de": r"germany|deutschland|allemagne|alemania|frankfurt",
    "fr": r"france|frankreich|francia|paris",
    "ch": r"switzerland|schweiz|suisse|suiza|swiss",
    "es": r"spain|spanien|espagne|espana",
    "it": r"italy|italien|italie|italia",
    "nl": r"netherlands|niederlande|pays bas|amsterdam",
    "ie": r"ireland|irland|dublin",
    "ca": r"canada|kanada|canadian",
    "in": r"india|indien|mumbai",
    "jp": r"japan|tokyo",
    "au": r"australia|sydney",
    "sg": r"singapore|singapur",
    "br": r"brazil|brasilien|brasil|bresil",
    "kr": r"south korea|seoul",
    "cn": r"china",
    "ru": r"russia|russland|russie|rusia",
}  # fmt: skip
REGION_CUE = re.compile(
    r"host\w*|data\b|daten\w*|donnees|datos|server\w*|servidor\w*|stay\w*|stays|reside\w*|residency|"
    r"region\w*|process\w*|stored?|"
    r"leave|leaving|locat\w*|datacent\w*|data cent\w*|soil|sovereign\w*|jurisdiction|within|inside|outside|"
    r"run\w*|served|compute|"
    r"cloud|gehostet|bleiben|verarbeit\w*|hebergee?s?|alojad\w*|compliant|compliance|konform|only|endpoint|"
    r"infrastructure"
)
"""Without such a word near it a country is what a text is about, not where work is done."""
ALWAYS_A_REGION = re.compile(r"eu|european union|gdpr|dsgvo|rgpd|eea")

PROVIDER_NAMES: Mapping[str, str] = {
    "hf inference": "hf-inference", "hugging face inference": "hf-inference", "huggingface inference": "hf-inference",
    "together ai": "together", "together.ai": "together", "togetherai": "together", "together": "together",
    "fireworks": "fireworks-ai", "fireworks ai": "fireworks-ai", "fal": "fal-ai", "fal ai": "fal-ai", "groq": "groq",
    "cerebras": "cerebras", "cohere": "cohere", "deepinfra": "deepinfra", "deep infra": "deepinfra",
    "featherless": "featherless-ai", "featherless ai": "featherless-ai", "hyperbolic": "hyperbolic", "nebius": "nebius",
    "novita": "novita", "nscale": "nscale", "openai": "openai", "ovh": "ovhcloud", "ovhcloud": "ovhcloud",
    "publicai": "publicai", "replicate": "replicate", "sambanova": "sambanova", "scaleway": "scaleway",
    "wavespeed": "wavespeed", "baseten": "baseten", "black forest": "black-forest-labs",
}  # fmt: skip
PROVIDER_CUE = re.compile(
    r"(?:on|via|through|over|using|with|by|from|at|to|provider\w*|hosted by|served by|hosted on|run on|runs "
    r"on|uber|bei|auf|von|chez|sur|"
    r"avec|en|con|por|only|just|not|no|except|without|avoid|excluding|or|and|nor|ohne|sans|sin|use|never|api|"
    r",)\W*(?:the )?$"
)
PLAIN_WORDS = frozenset({"together", "replicate", "fireworks", "hyperbolic", "fal"})
"""Providers whose names are words: only with a cue right before them."""

AUTHORS: Mapping[str, tuple[str, ...]] = {
    "google": ("google",),
    "meta": ("meta-llama", "facebook"),
    "facebook": ("facebook",),
    "microsoft": ("microsoft",),
    "openai": ("openai",),
    "mistral": ("mistralai",),
    "mistral ai": ("mistralai",),
    "mistralai": ("mistralai",),
    "alibaba": ("Qwen", "Alibaba-NLP"),
    "deepseek": ("deepseek-ai",),
    "nvidia": ("nvidia",),
    "ibm": ("ibm-granite", "ibm"),
    "apple": ("apple",),
    "stability": ("stabilityai",),
    "stability ai": ("stabilityai",),
    "stabilityai": ("stabilityai",),
    "salesforce": ("Salesforce",),
    "intel": ("Intel",),
    "tencent": ("tencent",),
    "baidu": ("baidu",),
    "cohere": ("CohereLabs",),
    "bigscience": ("bigscience",),
    "eleutherai": ("EleutherAI",),
    "eleuther": ("EleutherAI",),
    "allenai": ("allenai",),
    "ai2": ("allenai",),
    "allen ai": ("allenai",),
    "black forest labs": ("black-forest-labs",),
    "snowflake": ("Snowflake",),
    "jina": ("jinaai",),
    "jina ai": ("jinaai",),
    "nomic": ("nomic-ai",),
    "baai": ("BAAI",),
    "helsinki nlp": ("Helsinki-NLP",),
    "helsinki": ("Helsinki-NLP",),
    "hugging face": ("HuggingFaceTB", "HuggingFaceH4"),
    "huggingface": ("HuggingFaceTB", "HuggingFaceH4"),
    "moonshot": ("moonshotai",),
    "zhipu": ("zai-org",),
    "databricks": ("databricks",),
    "amazon": ("amazon",),
    "bytedance": ("ByteDance",),
    "qwen": ("Qwen",),
    "tii": ("tiiuae",),
    "xai": ("xai-org",),
    "cardiff": ("cardiffnlp",),
    "cardiffnlp": ("cardiffnlp",),
    "anthropic": ("anthropic",),
}
FAMILIES = re.compile(
    r"(?<![a-z0-9-])(llama|codellama|tinyllama|qwen|qwq|gemma|mistral|mixtral|phi|falcon|bloomz?|vicuna|alpaca|zephyr|"
    r"deepseek|gpt[ -]?(?:2|j|neox?|oss)|olmo|granite|starcoder|chatglm|glm|kimi|minimax|grok|command[ -]r|"
    r"(?:distil|ro|de|al|mo|xlm[ -]?ro)?berta?|electra|m?t5|flan[ -]t5|m?bart|pegasus|nllb|opus[ -]mt|m2m100|"
    r"whisper|wav2vec2?|hubert|parakeet|kokoro|xtts|speecht5|musicgen|flux|sdxl|stable[ -]diffusion|"
    r"sd15|kandinsky|pixart|siglip|blip2?|llava|pixtral|florence|layoutlm|donut|trocr|detr|yolos?|owlvit|"
    r"dinov2|vit|resnet|swin|segformer|e5|bge|gte|minilm|mpnet|tapas)(?:[ -]?v?\d+(?:\.\d+)*)?"
    r"(?![a-z0-9]|[ -](?:community[ -])?(?:licen[cs]|lizenz|terms))"
)
"""Families of models that people name to rule them out; the name without its number."""
AUTHOR_BEFORE = re.compile(
    r"(?:(?:made|built|trained|published|released|written|provided|developed|created|anything|something|"
    r"models?|one|ones|stuff|weights)\W+(?:by|from|of|von|de)|"
    r"\bfrom|\bby|\bvon|\bde|\bpar|\bpor|\bauthor|\bnon|\bnot|\bno|\bor|\band|\bnor|\bexcept|\bwithout|"
    r"\bavoid|\bexcluding|\beither|\bhates?|\bdislikes?|\bbut|\bkein\w*|\bexclude|\bonly|\bthan)\W*$"
)
AUTHOR_AFTER = re.compile(r"(?:'s| only\b|s'|[ -]?(?:models?|weights|release\w*|family|made|based)\b)")

FLAGS: tuple[Rule, ...] = (
    _rule(
        (
            r"(?:for )?(?:commercial|commercially|kommerziell\w*|commerciale?ment|commerciale?|comercial(?:mente)?|"
            r"comerciales)(?:[ -](?:use|usage|purposes?|product\w*|projects?|friendly|usable|deployment|settings?|"
            r"licen[cs]\w*|nutzung|zwecke|nutzbar\w*|applications?|setting|service|saas|software|website|app))?(?: "
            r"(?:is )?(?:allowed|ok|okay|permitted|fine|erlaubt))?"
        ),
        "commercial",
        True,
    ),
    _rule(
        (
            r"(?:(?:(?:no|without)(?: any)? restrictions? (?:on|for|in) )?(?:business|company|corporate) "
            r"(?:use|usage)|monetiz\w*|monetis\w*|for[ -]profit|closed[ -]source (?:product|app|software)|"
            r"(?:can|may|will|that "
            r"we|we|i|to|and) (?:re)?sell(?: it)?|(?:in|for|into) (?:a |our |my )?(?:paid|commercial|proprietary) "
            r"(?:product|app|service|saas|software|tool|offering)|legally (?:sell|charge)|charge (?:customers|money|"
            r"for it)|(?:no|without|zero|avoid\w*)(?: any)? (?:licen[cs]\w*|legal|copyright)[ -](?:trouble|issue|"
            r"problem|hassle|"
            r"headache|worr(?:y|ie)|risk|restriction|concern|fuss)s?|(?:ohne|keine) lizenz(?:probleme|arger|sorgen)|"
            r"(?:sans|sin) problem\w* de licen[cs]\w*|royalty[ -]free|business use)"
        ),
        "commercial",
        True,
    ),
    _rule(
        r"(?:permissive(?:ly)?(?:[ -]licen[cs]\w*)?|liberal licen[cs]\w*|permissive lizenz\w*|licen[cs]ia permisiva)",
        "permissive",
        True,
    ),
    _rule(
        (
            r"(?:(?:pre)?approved(?: (?:by|for|models?|list|in|only)(?: (?:us|our|my|the|compliance|legal|it|"
            r"security|models?|list|team))*)?|whitelist\w*|allow[ -]?list\w*|signed[ -]off|admitted|in (?:our|the) "
            r"registry|registry only|freigegeben\w*|genehmigt\w*|approuve\w*|aprobad\w*|(?:we|i|my team|our team|"
            r"tenant)(?: are| is| am|'re)? (?:actually )?(?:allowed|permitted|cleared) to use|cleared (?:by|for) "
            r"(?:us|compliance|legal|security|use)|sanctioned)"
        ),
        "approved",
        True,
    ),
    _rule(
        (
            r"(?:ungated|gated(?: models?| repos?)? (?:is|are)(?: not|n't) (?:ok|okay|allowed|acceptable|wanted|"
            r"possible|an option|permitted|fine)|non[ -]gated|"
            r"not gated|no gat(?:e|ing|ed)(?: models?| repos?)?|without gat(?:e|ing)|nothing "
            r"gated|(?:without|no|don't want to|not having to|do not want to|no need to) (?:an? |any "
            r")?(?:(?:ask(?:ing)?|request(?:ing)?|apply(?:ing)?|application|need(?:ing)?)(?: for)? (?:an? "
            r")?(?:access|permission)|access (?:requests?|forms?|approval)|sign(?:ing)? (?:an? )?(?:agreement|terms|"
            r"form)\w*|accept(?:ing)? (?:terms|conditions|a licen[cs]e)|waiting ?list\w*|log ?in|filling (?:in|out) "
            r"(?:a )?forms?|form to fill)|freely (?:down ?loadable|accessible|available)|open access|frei "
            r"(?:zuganglich|verfugbar)\w*)"
        ),
        "gated",
        False,
    ),
    _rule(
        (
            r"(?:(?:no|without|avoid\w*|not (?:need|require|want)\w*|n't (?:need|require|want)\w*|disallow\w*|"
            r"forbid\w*|exclud\w+|never|reject\w*|refus\w*|skip) (?:any(?:thing)? )?(?:models? )?(?:(?:that )?(?:with|"
            r"needs?|wants?|requires?|runs?|running) )?(?:custom|remote|arbitrary|third[ -]party|foreign|extra python|"
            r"author'?s?|own) "
            r"(?:python )?code(?: execution)?|(?:no|without|not|n't (?:need|want|use|require)|avoid\w*|disabl\w*)(?: "
            r"need for| needing| using| to use| to set| setting)? ?trust[ _-]?remote[ _-]?code|trust[ _-]remote[ "
            r"_-]code ?=? ?(?:false|off|disabled)|ohne (?:fremden|eigenen) code)"
        ),
        "custom_code",
        False,
    ),
    _rule(
        (
            r"(?:(?:security|virus|malware|safety|pickle)[ -]?(?:scan\w*|check\w*)(?: (?:passed|clean|ok|done))?|"
            r"malware[ -]free|virus[ -]free|scanned(?: (?:clean|and safe|for malware|safe)| (?:models?|weights|"
            r"repos?\w*|files) only|(?=\W*$|[,;.]| and safe))|(?:clean|passed|passing) (?:security )?scans?|scans? "
            r"(?:clean|passed)|no (?:unsafe|malicious|suspicious) (?:files?|pickles?|weights)|(?:no|without) "
            r"(?:unsafe )?pickles?|known (?:to be )?safe|safe to load)"
        ),
        "safe",
        True,
    ),
    _rule(
        (
            r"(?:(?:completely |totally |absolutely )?(?:for free|free (?:of charge|of cost|to use|to call|model|"
            r"models|tier|only|api|endpoint|inference)|costs? nothing|at no cost|no cost|without (?:paying|cost\w*)|"
            r"zero cost|kostenlos\w*|kostenfrei\w*|gratis|gratuite?\w*|must be free|(?:is|be) free|free(?=\W*$|,| "
            r"and |;)))"
        ),
        "max_nanousd_per_request",
        0,
    ),
    _rule(
        (
            r"(?:(?:function|tool)[ -]?(?:call\w*|use|usage|using|support)|(?:call|use|using|calls|uses|support\w*) "
            r"(?:tools|functions)|tools? support)"
        ),
        "tools",
        True,
    ),
    _rule(
        (
            r"(?:json[ -]?(?:mode|schema|output|format|only|responses?)|structured (?:outputs?|json|generation|"
            r"responses?|data output)|(?:valid|strict|return\w*|output\w*|answers? in|reply in|respond\w* (?:in|"
            r"with)|emit\w*|as) (?:valid |strict )?json|json as output)"
        ),
        "structured_output",
        True,
    ),
    _rule(
        (
            r"(?:(?:already|currently|right now|ready) (?:being )?(?:hosted|served|running|deployed|live|available|"
            r"up)|(?:hosted|served|callable|available|usable|reachable|live|running|up) (?:right )?(?:now|today|"
            r"immediately|at once|via (?:an )?api|already|somewhere|by (?:some(?:one|body)?|any|a) ?(?:provider)?)|"
            r"ready to (?:use|call|go)|(?:via|through|over|by|with) (?:an? |the )?(?:hosted )?api|serverless|(?:call|"
            r"use|try) (?:it )?(?:right now|today|immediately|at once)|(?:without|no) (?:deploying|having to deploy|"
            r"deployment|(?:self[ -])?hosting|running (?:my|our) own|any setup|setup|setting up)|(?:some|any|a|an|"
            r"which a|that a) (?:inference )?provider (?:serves|offers|hosts|runs|has)|inference providers?|hosted "
            r"(?:api|endpoint|model|inference)|verfugbar jetzt|sofort (?:nutzbar|verfugbar|einsatzbereit)|jetzt "
            r"verfugbar|disponible(?:s)? (?:maintenant|ya|ahora)|warm|online now|api access)"
        ),
        "served",
        True,
    ),
)
"""A condition's words in a plain text, the field of `Constraints` and its value."""

OWN_MACHINE = re.compile(
    r"(?<![a-z])(?:self[ -]?host\w*|on[ -]?prem(?:ise|ises)?|air[ -]?gapped|offline|(?:run|runs|running|use|"
    r"works?|deploy)(?: it)? (?:entirely |fully |completely )?local(?:ly)?|locally|local (?:model|only|"
    r"inference|use|deployment)|on (?:our|my) own (?:servers?|hardware|machines?|gpus?|infrastructure|"
    r"kubernetes|cluster)|in[ -]house|on[ -]device|without (?:an? )?internet|lokal\w*|en local|localement|"
    r"localmente|download and run|cpu[ -]only|only (?:a |on )?cpu|(?:on|with|using) (?:a |the )?cpu|(?:no|"
    r"without(?: an?)?) gpus?|ohne gpu|sans gpu|sin gpu)(?![a-z])"
)
"""Understood, and no constraint: all of the catalogue can be downloaded, and what it needs its size tells."""

DEVICES: tuple[tuple[re.Pattern[str], int], ...] = tuple(
    (re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])"), int(gigabytes * 1e9))
    for pattern, gigabytes in (
        (
            (
                r"(?:a |my |our |an |any |the )?(?:normal |ordinary |regular |cheap |old |plain |modest |standard "
                r")?(?:laptops?|notebooks?|macbooks?(?: air)?|ordinateur portable|portatil|pc portable|chromebook)"
            ),
            8,
        ),
        (
            (
                r"(?:a |my |our |the )?(?:phones?|smartphones?|mobile(?: (?:phone|device|app)s?)?|iphone|android(?: "
                r"(?:phone|device|app)s?)?|handy|telefono|telephone|movil)"
            ),
            2,
        ),
        (
            (
                r"(?:a |my )?(?:raspberry(?: pi)?(?: [345])?|rpi|pi [345]|microcontroller|edge devices?|jetson nano|"
                r"embedded(?: device| board)?)"
            ),
            2,
        ),
        (r"(?:a |one |single |my )*(?:t4)(?: gpu)?", 16),
        (r"(?:a |one |single |my )*(?:l4|a10g?)(?: gpu)?", 24),
        (r"(?:an? |one |single |my )*(?:rtx ?)?(?:3060|4070)(?: gpu| card)?", 12),
        (r"(?:an? |one |single |my )*(?:rtx ?)?(?:3090|4090)(?: ti)?(?: gpu| card)?", 24),
        (r"(?:an? |one |single )*(?:a100|h100)(?: gpu)?", 80),
        (r"(?:an? |one |single |my )*(?:rtx ?)?5090(?: gpu| card)?", 32),
        (r"(?:a |one |my |single )*(?:consumer|gaming|single|desktop)[ -](?:grade )?(?:gpu|graphics card|card)", 12),
    )
)
"""Machines that people name, and the memory that one commonly has for a model: what a limit of memory is made of where
no number stands beside them."""
DEVICE_CUE = re.compile(
    r"(?:on|runs?|running|run|fits?|fit|for|works?|work|in|into|auf|sur|en|dans|enough for|deploy\w*|only|"
    r"with|have|got|single|one)\W+(?:\w+\W+){0,2}$"
)

PREFERENCES: Mapping[str, str] = {
    "cheap": (
        r"cheap\w*|affordable|inexpensive|low[ -]?cost|lowest (?:price|cost)|costs? (?:as )?little|economical|"
        r"budget[ -]friendly|gunstig\w*|billig\w*|preiswert\w*|pas cher|bon marche|moins chere?|barat\w*|"
        r"economic[oa]|save money|saving money|cost[ -]effective|cost[ -]efficient|tight budget|small budget|"
        r"shoestring|bang for the buck|penny|pennies"
    ),
    "fast": (
        r"fast\w*|quick\w*|low[ -]?latency|real[ -]?time|speed\w*|speedy|instant\w*|snappy|responsive|schnell\w*|"
        r"rapid\w*|echtzeit|temps reel|tiempo real|live|latency matters|latency critical|high[ -]?throughput|"
        r"lightning"
    ),
    "best": (
        r"best|highest[ -](?:quality|accuracy)|high[ -](?:quality|accuracy|precision)|most accurate|accurate\w*|"
        r"accuracy|state[ -]of[ -]the[ -]art|sota|top[ -](?:quality|notch|performing|tier)|top|precise|reliable|"
        r"good quality|quality (?:matters|first|is key|counts|above all)|quality|beste[snrm]?|genau\w*|"
        r"hochwertig\w*|meilleure?s?|precis|mejor(?:es)?|strongest|most capable|excellent|superb|qualitat"
    ),
    "small": (
        r"small\w*|tiny|light[ -]?weight|lightest|compact|little model|klein\w*|winzig\w*|leicht\w*|petite?s?|"
        r"leger\w*|pequen\w*|liger\w*|minimal|resource[ -]constrained|nano|edge"
    ),
    "popular": (
        r"popular\w*|widely used|well[ -]known|most downloaded|most liked|most used|battle[ -]tested|beliebt\w*|"
        r"populaire\w*|famous|established|proven|community favou?rite|trending|verbreitet\w*"
    ),
    "recent": (
        r"recent\w*|newest|latest|new model|up[ -]to[ -]date|modern|freshest|fresh|brand new|cutting[ -]edge|"
        r"neueste\w*|aktuell\w*|dernier\w*|mas recientes?|actual"
    ),
}  # fmt: skip

FORMATS: tuple[Rule, ...] = (
    _rule(r"4[ -]?bits?|int4|q4\w*", "tags", "4-bit"),
    _rule(r"8[ -]?bits?|int8|q8\w*", "tags", "8-bit"),
    _rule(r"fp8", "tags", "fp8"),
    _rule(r"quanti[sz]ed|quants?|quanti[sz]ation|quantisiert\w*", "tags", "quantized"),
    _rule(r"fine[ -]?tuned|finetuned", "", ""),
)
QUANTIZED = frozenset({"4-bit", "8-bit", "fp8", "gguf", "awq", "gptq", "bitsandbytes", "exl2", "int8", "int4", "mlx"})
"""Any of these tags makes a model `quantized`."""

MULTILINGUAL = re.compile(
    r"(?<![a-z])(?:multi[ -]?lingual\w*|(?:many|several|multiple|various|different|all(?: major)?|dozens of|"
    r"hundreds of|most|any|\d+\+?|lots of) (?:\w+ )?languages?|any language|mehrsprachig\w*|(?:viele|"
    r"mehrere) sprachen|multilingue\w*|plusieurs langues|varios idiomas|muchos idiomas|cross[ -]?lingual|"
    r"language[ -]agnostic|polyglot)(?![a-z])"
)
