"""Which language a text is written in, from its script, its letters and its most common words. Tables and one linear
scan, nothing else.

What it can tell: a script that one language owns (Thai, Hebrew, Korean, ...) from a few letters on; languages that
share a script by their common words and special letters, from about six words on. What it cannot: a language that is
not in `NAMES` from its nearest relative there (Slovak reads as Czech, Catalan as Spanish or not at all), Danish from
Norwegian in short texts, simplified from traditional Chinese. Where two languages are close it says nothing rather than
guess.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import groupby

NAMES = {
    "ar": "arabic", "bg": "bulgarian", "bn": "bengali", "cs": "czech", "da": "danish", "de": "german", "el": "greek",
    "en": "english",
    "es": "spanish", "fa": "persian", "fi": "finnish", "fr": "french", "gu": "gujarati", "he": "hebrew", "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "ja": "japanese", "ka": "georgian", "km": "khmer",
    "kn": "kannada",
    "ko": "korean", "lo": "lao", "ml": "malayalam", "mr": "marathi", "my": "burmese", "ne": "nepali", "nl": "dutch",
    "no": "norwegian",
    "pa": "punjabi", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "si": "sinhala",
    "sv": "swedish",
    "sw": "swahili", "ta": "tamil", "te": "telugu", "th": "thai", "tr": "turkish", "uk": "ukrainian", "ur": "urdu",
    "vi": "vietnamese",
    "zh": "chinese",
}  # fmt: skip

# First code point of a script's block -> script; "" where a gap begins. Only blocks that hold letters of living
# languages.
_BLOCKS = (
    (0x41, "latin"), (0x250, ""), (0x370, "greek"), (0x400, "cyrillic"), (0x530, "armenian"), (0x590, "hebrew"),
    (0x600, "arabic"),
    (0x700, ""), (0x750, "arabic"), (0x780, ""), (0x900, "devanagari"), (0x980, "bengali"), (0xA00, "gurmukhi"),
    (0xA80, "gujarati"),
    (0xB00, ""), (0xB80, "tamil"), (0xC00, "telugu"), (0xC80, "kannada"), (0xD00, "malayalam"), (0xD80, "sinhala"),
    (0xE00, "thai"),
    (0xE80, "lao"), (0xF00, ""), (0x1000, "burmese"), (0x10A0, "georgian"), (0x1100, "hangul"), (0x1200, ""),
    (0x1780, "khmer"),
    (0x1800, ""), (0x1C90, "georgian"), (0x1CC0, ""), (0x1E00, "latin"), (0x1F00, "greek"), (0x2000, ""),
    (0x3040, "kana"), (0x3100, ""), (0x3400, "han"), (0x4DC0, ""),
    (0x4E00, "han"), (0xA000, ""), (0xAC00, "hangul"), (0xD7B0, ""), (0xF900, "han"), (0xFB00, ""), (0xFB50, "arabic"),
    (0xFE00, ""),
    (0xFE70, "arabic"), (0xFF00, ""), (0xFF66, "kana"), (0xFFA0, ""), (0x20000, "han"), (0x323B0, ""),
)  # fmt: skip
_STARTS = [start for start, _ in _BLOCKS]
_OWNED = {
    "greek": "el", "armenian": "hy", "hebrew": "he", "bengali": "bn", "gurmukhi": "pa", "gujarati": "gu", "tamil": "ta",
    "telugu": "te",
    "kannada": "kn", "malayalam": "ml", "sinhala": "si", "thai": "th", "lao": "lo", "burmese": "my", "georgian": "ka",
    "hangul": "ko",
    "khmer": "km",
}  # fmt: skip

# A language a paragraph: its code, the letters it writes beyond the plain ones, its most common words.

_LATIN = """
en |  | the of and to is in that it for was on are as with be this at by have from or not but what all were when we
   there can an your which their if will do how about then would these so has been they you his her more its than into
   could should
es | áéíóúüñ | el la de que y en los del se las por un para con no una su al lo como más pero sus le ya o este sí
   porque esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante es son está fue ser
   tiene
pt | áâãàçéêíóôõú | o a de que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das
   tem à seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo são
   você
fr | àâæçéèêëîïôœùûüÿ | le la les de des du et un une est en que qui dans pour pas sur au ce il elle sont avec plus
   par nous vous mais ou se ne son sa ses cette ces aux comme être fait leur tout très sans peut aussi ont été je
it | àèéìíîòóùú | di il la che e un per è in una non sono con del si da le dei come più lo ma della alla gli nel ha al
   anche delle questo questa se nella sul essere ci suo sua quando molto perché tra dal i o dopo stato c era erano
   hanno abbiamo siamo loro ogni dell nell all dall molta molti ancora dove così tutti può
ro | ăâîșțşţ | și de în la cu pe nu un o este care mai din să pentru ce sunt că se sau fost după dar fi are prin au
   lui ale acest această cum foarte când dintre fără între său ei el atunci toate
de | äöüß | der die das und ist in den von zu mit sich auf für nicht ein eine es dem des im als auch an werden aus er
   hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum haben nur oder aber vor zur bis mehr
   durch wenn ich
nl | ëïéèöü | de het een en van in is dat op te zijn met voor niet aan er die om ook als dan maar bij nog uit door
   naar heeft ik je ze hij was wordt werd wel meer deze dit kan tot over worden geen hebben onder hun
sv | åäöé | och att det som en på är av för med den till i inte har om ett han men var jag sig från vi så kan när de
   nu också efter eller hon hade detta vid än där upp mycket finns skulle alla blir mellan genom
da | åæøé | og i at det en den til er som på de med han af for ikke der var sig men et har om vi havde hun nu fra ved
   blev eller efter meget også skulle hvad når være kun mellem hvor kan noget nogle blive af jeg så gik bliver blevet
   mig min hende sådan ud op
no | åæøéòô | og i det er på som en at til av for med ikke han var den har de men et om fra seg ble jeg eller hun
   hadde også kan etter nå skal ved være så noe hva når mellom bare noen mye hvordan blir vi der så gikk ville blitt
   bli min henne slik ut opp
fi | äöå | ja on ei se että oli hän mutta joka ovat kun niin myös kuin tai sen olla jos ole mukaan tämä kanssa sitä
   mitä vain nyt hänen ollut voi jotka tämän sekä minä me he siitä vielä jo hyvin koska paljon
pl | ąćęłńóśźż | i w na z do się nie że to jest jak o od za po ale co był dla przez jego tym są przy tylko być już jej
   tego które który może oraz także kiedy ich aby bardzo gdy ze jako lub między jednak można przed pod
cs | áčďéěíňóřšťúůýž | a se v na je že to s z do o i ve jako za pro by ale po jsou od jeho který jsem které byl podle
   však také nebo k aby při byla co tak jen když až bylo může být kde už mezi velmi má před
hu | áéíóöőúüű | a az és hogy nem is egy volt ez meg de csak van mint már ki el még azt le vagy ha ezt azonban kell
   lehet minden után nagyon aki mert között be ami lesz voltak pedig ezek itt sem nagy több
tr | çğıöşüâî | ve bir bu da de için ile çok olarak daha olan gibi en ne o kadar ama sonra var ki olduğu her mi ya
   diye değil ise göre onun şey ben biz bunu bütün ancak arasında tarafından önce hem veya kendi
vi | àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ | và của là các một có trong được cho không
   với những này người đã khi để đến từ ở về như cũng ra hay nhiều vào nó sẽ bạn tôi rất thì phải mà trên sự tại theo
   năm hơn làm nếu nhất
id |  | yang dan di ini untuk dengan tidak itu dari dalam pada adalah akan ke oleh ada juga atau karena saya kami
   mereka dapat telah bahwa tersebut sebagai lebih bisa sudah saat orang kita seperti hanya harus banyak antara anda
   secara
sw |  | na ya wa kwa ni katika la za kuwa hii cha yake hiyo kama au pia watu wao huo mtu sana ili hivyo kila lakini
   baada yao wake hizo ambayo zaidi hapo huu vya mwaka wengi kutoka yangu sisi
"""
_CYRILLIC = """
ru | ыэёъ | и в не на что он с как это по но из у за от так же для то вы все его она бы мы только к был мне было или
   ещё если когда уже до быть есть очень может при чтобы их этот также после можно более
uk | іїєґ | і в не на що з та до як це за він у й для але так від по про його є чи вона ми бути було також які який ще
   або коли вже якщо дуже може був щоб після між більше через під їх
bg | ъ | и в не на да се за от с по е че това като към са при но или той до той след ще има може би както всички те
   много също когато беше които който само още му ни си между тя един една
 | әғқңөұүһўјљњћђџѓќѕ |
"""
_ARABIC = """
ar | ةىأإؤئ | في من على أن إلى التي عن مع هذا كان هذه لا ما الذي هو كل أو هي بعد ذلك بين كما قد لم عند حيث و يمكن كانت
   حتى أكثر غير إن ثم أيضا لكن وقد منذ تكون
fa | پچژگکی | و در به از که این را با است برای آن یک می خود تا بر شده ها هم نیز ما شود او اما یا من باید های دارد آنها
   هر دو بود کرد پس بسیار اگر کنید شد می‌شود
ur | پچژگٹڈڑںےہھ | کے میں کی ہے اور سے کا کو اس یہ کہ پر نے ہیں ایک بھی جو تھا کر نہیں وہ ہو لیے گیا ان تو تھی اپنے
   ہوتا یا تھے سکتے جا کیا بہت جب
"""
_DEVANAGARI = """
hi |  | के में की है और से का को इस यह कि पर ने हैं एक भी जो था कर नहीं वह हो लिए गया उन तो थी अपने होता या थे सकते जा
   क्या बहुत जब हम आप रहा साथ ही
mr |  | आहे आणि या हे ते तो एक नाही आहेत त्या मध्ये साठी होते की केली केला असे हा झाला होता करून त्यांनी व मी आपण काही
   त्याने पण त्यामुळे ही होती असतो खूप
ne |  | छ र को मा हो यो ले पनि छन् भने लागि गर्न एक का यस गरेको थियो भएको तर गर्ने त्यो हुन्छ हुन् म हामी धेरै साथ
   गर्छ जुन कि तपाईं सबै
"""
_SHARED = {"latin": _LATIN, "cyrillic": _CYRILLIC, "arabic": _ARABIC, "devanagari": _DEVANAGARI}

_WORD = re.compile(r"[^\W\d_]+(?:[\u0300-\u036f\u0900-\u0903\u093a-\u094f\u200c\u0300-\u036f][^\W\d_]*)*")
_DEVANAGARI_WORD = re.compile(r"[\u0900-\u0963\u0970-\u097f]+")
_DENSE = {"han", "kana", "hangul"}  # one of their characters says about as much as two letters
# Scripts that part no words, and about how many letters (marks do not count) make one.
_LETTERS_A_WORD = {"han": 2, "kana": 3, "thai": 3, "lao": 3, "khmer": 4, "burmese": 3}
_NAME_WEIGHT = 0.25  # of a word
# Up to four capitalised words with no other Latin word beside them: "Visual Studio Code", "Institute of Technology".
_LATIN_NAME = re.compile(
    r"(?<![A-Za-z\u00c0-\u024f'])(?<![A-Za-z\u00c0-\u024f] )[A-Z][A-Za-z\u00c0-\u024f.+#'-]*"
    r"(?: (?:(?:of|and|the|for|de|von) )?[A-Z][A-Za-z\u00c0-\u024f.+#'-]*){0,3}(?! ?[A-Za-z\u00c0-\u024f])"
)
_MIN_HITS = 2.0
_MARGIN = 1.4
_FEW = 5  # languages of a script, at most, whose own letters tell them apart


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """code: the language, or None where the text does not tell; share: of the text that is written in its script, 0 to
    1, by letters, or by words where Latin is one of several scripts."""

    code: str | None
    share: float


def language_code(name: str) -> str | None:
    """The code for a code or an English name ("fr", "zh-cn", "French"); None where the language cannot be told."""
    lowered = name.strip().lower()
    head = lowered.split("-", 1)[0].split("_", 1)[0]
    head = {"nb": "no", "nn": "no", "iw": "he"}.get(head, head)
    return head if head in NAMES else next((code for code, full in NAMES.items() if full == lowered), None)


def guess(text: str) -> Guess:
    """The language that most of `text` is written in. Linear in the text.

    Example: guess("Il fait beau et nous allons à la plage.") == Guess(code="fr", share=1.0)
    """
    scripts: dict[str, float] = defaultdict(float)
    for character, count in Counter(text).items():
        if character.isalpha():
            script = _script(character)
            scripts[script] += 2 * count if script in _DENSE else count
    scripts.pop("", None)
    if len(scripts) > 1 and "latin" in scripts:
        scripts = _weights_by_words(text)
    letters = sum(scripts.values())
    if not letters:
        return Guess(code=None, share=0.0)
    kana, han = scripts.pop("kana", 0.0), scripts.pop("han", 0.0)
    if kana + han:
        scripts["ja" if kana > 0.08 * (kana + han) else "zh"] = kana + han
    script = max(scripts, key=lambda name: scripts[name])
    share = scripts[script] / letters
    if script in ("ja", "zh"):
        return Guess(code=script, share=share)
    return Guess(code=_OWNED.get(script) or _by_words(text, script), share=share)


def _weights_by_words(text: str) -> dict[str, float]:
    """Script -> about how many words the text has in it. Letters would let a few Latin names outweigh a sentence, as
    those are long and Chinese or Thai words are short. A name between words of another script is a part of its
    sentence, and weighs little."""
    weights: dict[str, float] = defaultdict(float)
    rest, names = _LATIN_NAME.subn(" ", text)
    for script, letters in groupby(rest, key=_script):
        if not script:
            continue
        count = sum(map(str.isalpha, letters))
        weights[script] += count / _LETTERS_A_WORD[script] if script in _LETTERS_A_WORD else min(count, 1)
    weights["latin"] += _NAME_WEIGHT * names
    return weights


def _script(character: str) -> str:
    position = bisect_right(_STARTS, ord(character)) - 1
    return _BLOCKS[position][1] if position >= 0 else ""


def _by_words(text: str, script: str) -> str | None:
    """Common words count for the languages that have them, by how few those are; a letter that a language lacks counts
    against it."""
    tables = _TABLES.get(script)
    if tables is None:
        return None
    pattern = _DEVANAGARI_WORD if script == "devanagari" else _WORD
    found = (match.group().replace("\u200c", "") for match in pattern.finditer(text.lower()))
    words = Counter(word for word in found if _script(word[0]) == script)  # names in other scripts say nothing here
    scores = dict.fromkeys(tables.letters, 0.0)
    for word, count in words.items():
        owners = tables.owners.get(word, ())
        for code in owners:
            scores[code] += count / len(owners)
        special = tables.special.intersection(word)
        for code, letters in tables.letters.items():
            if special:
                told = 0.6 if special & tables.sole else 0.3
                scores[code] += told * count if special <= letters else -0.6 * count
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    (best, first), (_, second) = ranked[0], ranked[1]
    total = sum(words.values())
    enough = first >= max(min(_MIN_HITS, 0.5 * total), 0.08 * total)
    return (best or None) if enough and first > 0 and first >= _MARGIN * max(second, 0.0) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tables:
    """Of one script. owners: word -> languages that use it; letters: language -> its special ones ("" stands for the
    languages that are not told apart); special: all of those; sole: those of one language alone, where the script has
    so few languages that such a letter is as good as a common word."""

    owners: dict[str, tuple[str, ...]]
    letters: dict[str, frozenset[str]]
    special: frozenset[str]
    sole: frozenset[str]


def _tables(paragraphs: str) -> _Tables:
    owners: dict[str, tuple[str, ...]] = {}
    letters: dict[str, frozenset[str]] = {}
    code = ""
    for line in paragraphs.strip().splitlines():
        if "|" in line:
            code, special, line = (part.strip() for part in line.split("|"))
            letters[code] = frozenset(special)
        for word in line.replace("\u200c", "").split():
            if code not in owners.get(word, ()):
                owners[word] = (*owners.get(word, ()), code)
    counts = Counter(letter for group in letters.values() for letter in group)
    sole = frozenset(letter for letter, count in counts.items() if count == 1 and len(letters) <= _FEW)
    return _Tables(owners=owners, letters=letters, special=frozenset(counts), sole=sole)


_TABLES = {script: _tables(paragraphs) for script, paragraphs in _SHARED.items()}
