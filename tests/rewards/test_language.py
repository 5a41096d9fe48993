"""Languages told apart, mixtures noticed, and silence where a text does not tell. The samples were written for this
test."""

from __future__ import annotations

import pytest

from rewards.load import build_verifier
from rewards.prose.languages import NAMES, guess, language_code
from rewards.services import Services
from rewards.types import Outcome, Request

SAMPLES = {
    "ar": "ذهبت أمس إلى السوق مع أخي واشترينا الخبز والفواكه. كان الجو حارا لكن الناس كانوا سعداء.",
    "bg": "Вчера отидохме на пазара и купихме хляб и плодове. Времето беше хубаво, но имаше много хора.",
    "bn": "গতকাল আমরা বাজারে গিয়েছিলাম এবং রুটি ও ফল কিনেছিলাম।",
    "cs": "Včera jsme šli na trh a koupili jsme chléb a ovoce. Počasí bylo pěkné, ale bylo tam mnoho lidí.",
    "da": (
        "I går gik vi på markedet og købte brød og frugt. Vejret var godt, men der var meget mange mennesker, og "
        "vi blev ikke længe."
    ),
    "de": (
        "Gestern gingen wir auf den Markt und kauften Brot und Obst. Das Wetter war schön, aber es waren viele "
        "Leute da."
    ),
    "el": "Χθες πήγαμε στην αγορά και αγοράσαμε ψωμί και φρούτα.",
    "en": (
        "Yesterday we went to the market and bought bread and fruit. The weather was fine, but there were many people."
    ),
    "es": "Ayer fuimos al mercado y compramos pan y fruta. Hacía buen tiempo, pero había mucha gente en las calles.",
    "fa": "دیروز به بازار رفتیم و نان و میوه خریدیم. هوا خوب بود اما مردم زیادی در آنجا بودند و ما زود برگشتیم.",
    "fi": "Eilen menimme torille ja ostimme leipää ja hedelmiä. Sää oli hyvä, mutta siellä oli paljon ihmisiä.",
    "fr": (
        "Hier nous sommes allés au marché et nous avons acheté du pain et des fruits. Il faisait beau, mais il y "
        "avait du monde."
    ),
    "gu": "ગઈકાલે અમે બજારમાં ગયા અને રોટલી અને ફળ ખરીદ્યાં.",
    "he": "אתמול הלכנו לשוק וקנינו לחם ופירות. מזג האוויר היה יפה.",
    "hi": "कल हम बाजार गए और रोटी और फल खरीदे। मौसम अच्छा था लेकिन वहाँ बहुत लोग थे।",
    "hu": (
        "Tegnap elmentünk a piacra, és vettünk kenyeret meg gyümölcsöt. Az idő szép volt, de nagyon sok ember volt ott."
    ),
    "hy": "Երեկ մենք գնացինք շուկա և հաց ու միրգ գնեցինք։",
    "id": "Kemarin kami pergi ke pasar dan membeli roti serta buah. Cuaca bagus, tetapi ada banyak orang di sana.",
    "it": (
        "Ieri siamo andati al mercato e abbiamo comprato pane e frutta. Il tempo era bello, ma c'era molta gente "
        "nella piazza."
    ),
    "ja": "昨日は市場に行って、パンと果物を買いました。天気は良かったですが、人が多かったです。",
    "ka": "გუშინ ბაზარში წავედით და პური და ხილი ვიყიდეთ.",
    "km": "ម្សិលមិញយើងទៅផ្សារហើយទិញនំប៉័ងនិងផ្លែឈើ។",
    "kn": "ನಿನ್ನೆ ನಾವು ಮಾರುಕಟ್ಟೆಗೆ ಹೋಗಿ ಬ್ರೆಡ್ ಮತ್ತು ಹಣ್ಣುಗಳನ್ನು ಖರೀದಿಸಿದೆವು.",
    "ko": "어제 우리는 시장에 가서 빵과 과일을 샀습니다.",
    "lo": "ມື້ວານນີ້ພວກເຮົາໄປຕະຫຼາດແລະຊື້ເຂົ້າຈີ່ແລະໝາກໄມ້",
    "ml": "ഇന്നലെ ഞങ്ങൾ ചന്തയിൽ പോയി റൊട്ടിയും പഴങ്ങളും വാങ്ങി.",
    "mr": "काल आम्ही बाजारात गेलो आणि भाकरी व फळे घेतली. हवामान छान होते पण तिथे खूप लोक होते.",
    "my": "မနေ့က ကျွန်တော်တို့ ဈေးသွားပြီး ပေါင်မုန့်နဲ့ အသီးတွေ ဝယ်ခဲ့တယ်။",
    "ne": "हिजो हामी बजार गयौं र रोटी र फलफूल किन्यौं। मौसम राम्रो थियो तर त्यहाँ धेरै मानिसहरू थिए।",
    "nl": (
        "Gisteren gingen we naar de markt en kochten we brood en fruit. Het weer was mooi, maar er waren veel mensen."
    ),
    "no": (
        "I går gikk vi på torget og kjøpte brød og frukt. Været var fint, men det var mye folk, så vi ble ikke "
        "lenge etter det."
    ),
    "pa": "ਕੱਲ੍ਹ ਅਸੀਂ ਬਾਜ਼ਾਰ ਗਏ ਅਤੇ ਰੋਟੀ ਤੇ ਫਲ ਖਰੀਦੇ।",
    "pl": "Wczoraj poszliśmy na targ i kupiliśmy chleb oraz owoce. Pogoda była ładna, ale było tam bardzo dużo ludzi.",
    "pt": (
        "Ontem fomos ao mercado e compramos pão e frutas. O tempo estava bom, mas havia muita gente, e não "
        "ficamos até tarde."
    ),
    "ro": (
        "Ieri am fost la piață și am cumpărat pâine și fructe. Vremea era frumoasă, dar erau foarte mulți oameni acolo."
    ),
    "ru": "Вчера мы пошли на рынок и купили хлеб и фрукты. Погода была хорошая, но там было очень много людей.",
    "si": "ඊයේ අපි වෙළඳපොළට ගොස් පාන් සහ පලතුරු මිලදී ගත්තෙමු.",
    "sv": (
        "Igår gick vi till torget och köpte bröd och frukt. Vädret var fint, men det var mycket folk där och vi "
        "stannade inte."
    ),
    "sw": (
        "Jana tulikwenda sokoni na tukanunua mkate na matunda. Hali ya hewa ilikuwa nzuri lakini kulikuwa na watu "
        "wengi sana."
    ),
    "ta": "நேற்று நாங்கள் சந்தைக்குச் சென்று ரொட்டியும் பழங்களும் வாங்கினோம்.",
    "te": "నిన్న మేము మార్కెట్‌కు వెళ్లి రొట్టె మరియు పండ్లు కొన్నాము.",
    "th": "เมื่อวานเราไปตลาดและซื้อขนมปังกับผลไม้",
    "tr": "Dün pazara gittik ve ekmek ile meyve aldık. Hava güzeldi ama çok insan vardı, bu yüzden fazla kalmadık.",
    "uk": "Вчора ми пішли на ринок і купили хліб та фрукти. Погода була гарна, але там було дуже багато людей.",
    "ur": "کل ہم بازار گئے اور روٹی اور پھل خریدے۔ موسم اچھا تھا لیکن وہاں بہت لوگ تھے۔",
    "vi": "Hôm qua chúng tôi đã đi chợ và mua bánh mì cùng với trái cây. Thời tiết rất đẹp nhưng có nhiều người.",
    "zh": "昨天我们去了市场，买了面包和水果。天气很好，但是人很多。",
}
FRENCH = build_verifier({"kind": "language", "language": "French"}, Services())


def test_there_is_a_sample_for_every_language() -> None:
    assert SAMPLES.keys() == NAMES.keys()


@pytest.mark.parametrize("code", sorted(SAMPLES))
def test_a_few_sentences_tell_their_language(code: str) -> None:
    assert guess(SAMPLES[code]).code == code
    assert guess(SAMPLES[code].upper()).code == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "Завод Toyota выпускает машины Corolla и Camry, а завод Volkswagen собирает Golf и Polo быстрыми темпами.",
            "ru",
        ),
        ("Фірма Siemens продає їхні прилади у Berlin, і Bosch теж їздить на ярмарки.", "uk"),
        ("Қала тұрғындары бүгін базарға барып, ыстық нан мен піскен алма сатып алды.", None),
        ("Беларускія вёскі ўзімку былі ціхія, ды ўлетку ажывалі.", None),
    ],
)
def test_names_in_latin_script_hide_no_cyrillic_language(text: str, code: str | None) -> None:
    assert guess(text).code == code


@pytest.mark.parametrize(
    "text", ["", "42", "a = b + c", "\\frac{1}{2}", "Oslo", "lorem ipsum dolor sit amet", "👍👍", "xkcd qwerty zxcvb"]
)
def test_a_text_that_does_not_tell_gives_no_language(text: str) -> None:
    assert guess(text).code is None


def test_names_codes_and_regions_name_a_language() -> None:
    assert [language_code(name) for name in ("fr", "French", " ZH-cn ", "pt_BR", "klingon", "")] == [
        "fr",
        "fr",
        "zh",
        "pt",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("gold", "response", "reason"),
    [
        ("fr", SAMPLES["fr"], "language_as_asked"),
        (None, SAMPLES["fr"], "language_as_asked"),
        (["en", "fr"], SAMPLES["en"], "language_as_asked"),
        ("fr", "<think>" + SAMPLES["en"] * 5 + "</think>" + SAMPLES["fr"], "language_as_asked"),
        (
            "fr",
            SAMPLES["fr"] + "\n```python\nfor the_word in that_list:\n    print('and this is it')\n```",
            "language_as_asked",
        ),
        ("fr", SAMPLES["en"], "other_language"),
        ("fr", SAMPLES["es"], "other_language"),
        ("fr", "<think>" + SAMPLES["fr"] + "</think>" + SAMPLES["en"], "other_language"),
        ("fr", SAMPLES["fr"] * 2 + "\n\n" + SAMPLES["en"], "mixed_languages"),
        ("ja", SAMPLES["ja"] * 2 + "\n" + SAMPLES["en"], "mixed_languages"),
        ("zh", SAMPLES["ja"], "other_language"),
        ("fr", "42", "language_unclear"),
        ("fr", "<think>" + SAMPLES["fr"], "no_answer"),
    ],
)
def test_an_answer_is_judged_by_its_visible_prose(gold: object, response: str, reason: str) -> None:
    verdict = FRENCH.verify(Request(response=response, gold=gold))
    assert verdict.reason == reason, verdict
    assert verdict.score == float(reason == "language_as_asked")


def test_a_gold_that_names_no_known_language_is_refused_with_near_ones() -> None:
    with pytest.raises(ValueError, match="french"):
        FRENCH.check_gold("frensh")
    with pytest.raises(ValueError, match="expected a language"):
        build_verifier({"kind": "language"}, Services()).check_gold(None)
    assert FRENCH.verify(Request(response="x", gold=3)).outcome is Outcome.UNSUPPORTED


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("zh", "我们使用 PyTorch 和 TensorFlow 训练 Transformer 模型，并用 Hugging Face Transformers 部署。"),
        ("zh", "张伟在 Massachusetts Institute of Technology 学习。"),
        ("ja", "今日はGoogle Cloud PlatformとAmazon Web Servicesの比較をします。"),
        ("ko", "저는 Python과 JavaScript를 배우고 TypeScript로 Kubernetes 앱을 만듭니다."),
        ("th", "ผมใช้ Kubernetes และ Docker Compose กับ GitHub Actions ทุกวัน"),
        ("he", "אני משתמש ב-Visual Studio Code וב-GitHub Copilot כדי לכתוב TypeScript."),
        ("el", "Χρησιμοποιώ το Visual Studio Code και το Microsoft Teams κάθε μέρα."),
        ("hi", "मैं हर दिन Visual Studio Code और GitHub Copilot का उपयोग करता हूँ और यह बहुत अच्छा है।"),
    ],
)
def test_latin_names_in_another_script_weigh_by_words(code: str, text: str) -> None:
    verifier = build_verifier({"kind": "language"}, Services())
    assert verifier.verify(Request(response=text, gold=code)).passed
    assert verifier.verify(Request(response=text, gold="en")).outcome is Outcome.WRONG


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("zh", "Please use the following command to train the model 然后 wait until it is finished and check the log."),
        ("zh", "The model is trained with this command and it is then evaluated on the test set. 好的。"),
        ("ru", "We use the model and it is trained on the data that we have. Хорошо, спасибо."),
        ("zh", "我们 train the model with this data 然后 we look at the results of it"),
        ("ru", "Мы train the model и evaluate it на тестовых данных with the same script"),
    ],
)
def test_sentences_in_latin_script_are_no_names(code: str, text: str) -> None:
    verifier = build_verifier({"kind": "language"}, Services())
    assert not verifier.verify(Request(response=text, gold=code)).passed
