"""Forms whose texts are the same for every instruction with their phrase, for forms.py.

Each is a phrase, texts that have the form, and similar texts that don't. Numbers in the phrase are in digits,
and a NUL stands for a text in quotation marks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from autoif.faults.texts import SENTENCES
from autoif.faults.wording import ANSWER, END, LEAD, MUST, NONE_OF, NOT, OF_ANSWER

_ONE, _TWO, _THREE = SENTENCES[:3]
_PLAIN: Final = f"{_ONE} {_TWO}"
_BARE: Final = "Rain fell on small farms while old dogs slept"
_LINES: Final = "\n".join(SENTENCES)
_ITEMS: Final = ("- hay\n- milk\n- bread", "1. hay\n2. milk\n3. bread")
_TABLE: Final = "| hay | milk |\n| --- | --- |\n| 7 | 12 |"
_MARKED: Final = f"# Old farms\n\n**{_ONE[:-1]}** and *{_TWO[:-1]}*.\n\n{_ITEMS[0]}"
_HEADED: Final = f"# Old farms\n\n{_PLAIN}"
_EVER: Final = r"(?: at all| anywhere(?: in your response)?)?"
_CAPITALS: Final = r"in (?:all )?(?:capital letters|capitals|upper[- ]?case(?: letters)?|caps)"
_WRITE: Final = (
    rf"(?:(?:use|include|write|answer|respond|reply|give|format|structure|present)(?: {ANSWER})?(?: as| with| in|"
    rf" using)?|{ANSWER} {MUST} (?:be|use|have|contain|include)(?: written)?(?: as| in)?)"
)


@dataclass(frozen=True, slots=True)
class FixedForm:
    """A form that an instruction asks for by a phrase."""

    phrase: str
    """As a pattern, for any letter case."""
    obeying: Sequence[str]
    breaking: Sequence[str]
    right: str
    """What the obeying texts have, in words."""
    wrong: str
    """What the breaking texts have, in words."""
    check: Callable[[str], bool] | None = None
    """Tells whether any other text has the form; None where that isn't plain."""


def _forbid(what: str, name: str, breaking: Sequence[str], obeying: Sequence[str] = (_PLAIN, _ONE)) -> FixedForm:
    """Return the form of a text without something."""
    return FixedForm(rf"^{LEAD}{NONE_OF} {what}{END}", obeying, breaking, f"a text without {name}", f"one with {name}")


def _ask(what: str, name: str, obeying: Sequence[str]) -> FixedForm:
    """Return the form of a text that has something."""
    verb = rf"(?:use|include|add|write(?: {ANSWER})?(?: as| in)?|{ANSWER} {MUST} (?:have|contain|include))"
    return FixedForm(
        rf"^{LEAD}{verb} {what}{END}", obeying, [_PLAIN, f"{_PLAIN}\n\n{_ITEMS[0]}", "Rain | dogs"], name, "none"
    )


FIXED_FORMS: Final = (
    # what may not be there
    _forbid(
        r"punctuation(?: marks?| characters?| symbols?)?",
        "punctuation",
        [f"{_BARE}.", "Rain fell, and old dogs slept", "Rain fell! Old dogs slept", "Rain fell; old dogs slept"],
        [_BARE],
    ),
    _forbid(
        "special (?:characters|symbols)", "special characters", ["Rain fell @ farms", "Rain & wind # again"], [_BARE]
    ),
    _forbid(r"(?:line ?breaks?|new ?lines?)(?: characters?)?", "line breaks", [f"{_ONE}\n{_TWO}", f"{_ONE}\n\n{_TWO}"]),
    _forbid(r"(?:spaces|white ?space)(?: characters)?", "spaces", ["Rain fell", _PLAIN], ["Rain"]),
    _forbid(r"double spaces", "double spaces", ["Rain  fell on small farms."]),
    _forbid(r"(?:markdown(?: formatting| syntax| format)?|formatting)", "Markdown", [_MARKED]),
    _forbid(r"bold(?: text| words| type| formatting)?", "bold words", ["Rain **fell** on small farms."]),
    _forbid("(?:bold or italics|italics or bold)", "bold words and italics", ["Rain **fell** on *small* farms."]),
    _forbid(r"italics", "italics", ["Rain *fell* on small farms."]),
    _forbid(r"(?:bullet(?:ed)? (?:points?|lists?)|bullets)", "bullet points", [_ITEMS[0], f"{_ONE}\n\n{_ITEMS[0]}"]),
    _forbid(r"numbered lists?", "numbered lists", [_ITEMS[1], f"{_ONE}\n\n{_ITEMS[1]}"]),
    _forbid(
        r"(?:bullet(?:ed)? (?:points?|lists?) or numbered|numbered (?:lists? )?or bullet(?:ed)?) lists?",
        "lists",
        [*_ITEMS, f"{_ONE}\n\n{_ITEMS[0]}"],
    ),
    _forbid(r"(?:lists|list formatting)", "lists", [_ITEMS[0], f"{_ONE}\n\n{_ITEMS[0]}"]),
    _forbid(r"tables", "tables", [_TABLE, f"{_ONE}\n\n{_TABLE}"]),
    _forbid(r"head(?:ing|er)s", "headings", [_HEADED]),
    _forbid(r"non[- ]ascii characters", "other characters", ["Old dogs slept by a café.", "Rain “fell” on farms."]),
    _forbid(
        r"(?:hyphens or dashes|dashes or hyphens)",
        "dashes",
        ["Rain fell on well-known farms.", "Rain fell — on small farms.", "Rain fell – on small farms."],
    ),
    _forbid(
        r"contractions(?:,? (?:such as|like|e\.g\.)[^.]{0,60})?",
        "contractions",
        ["They can't come, as it isn't warm.", "We won't go.", "It didn't rain."],
        ["They cannot come, as it is not warm."],
    ),
    FixedForm(
        r"^(?:write|spell(?: out)?) (?:all|any|every) numbers? (?:out )?(?:as|in) words(?:,? (?:and|with) (?:use )?no"
        rf" digits{_EVER})?{END}",
        ["Seven old dogs slept by two gates."],
        ["7 old dogs slept by two gates.", "Seven old dogs slept from 2018 on."],
        "a text without digits",
        "one with them",
    ),
    FixedForm(
        rf"^(?:leave none of them (?:empty|blank)|{LEAD}{NONE_OF} (?:empty|blank) lines{_EVER})",
        [f"{_LINES}\n{_LINES}"],
        [f"{_LINES}\n\n{_LINES}"],
        "lines without an empty one",
        "an empty line between them",
    ),
    FixedForm(
        rf"^{LEAD}(?:use only|only use) ascii(?: characters)?{END}",
        [_PLAIN],
        ["Old dogs slept by a café.", "Rain “fell” on farms."],
        "a text in ASCII",
        "one with other characters",
    ),
    FixedForm(
        rf"^{LEAD}(?:end|finish|conclude)(?: {ANSWER})? (?:without|with no)(?: any)? punctuation(?: marks?)?{END}"
        rf"|^{LEAD}{NOT} (?:end|finish|conclude)(?: {ANSWER})? with(?: any)? punctuation(?: marks?)?{END}",
        [_BARE],
        [f"{_BARE}.", f"{_BARE}!"],
        "a text that ends with a word",
        "one that ends with a mark",
    ),
    # what may not be there twice, or must
    FixedForm(
        rf"^{LEAD}(?:{NONE_OF} the same word 2 times in a row|(?:do not|don't|never) repeat (?:a|any) word 2 times in a"
        rf" row){END}",
        [_PLAIN],
        ["Rain fell fell on small farms.", "Old old dogs slept."],
        "words that differ from the one before",
        "a word twice in a row",
    ),
    FixedForm(
        rf"^{LEAD}(?:(?:do not|don't|never) repeat (?:(?:a|any) )?sentences?|no sentence {MUST} be repeated){END}",
        [_PLAIN, " ".join(SENTENCES)],
        [f"{_PLAIN} {_ONE}", f"{_ONE} {_ONE}"],
        "sentences that differ",
        "one that occurs twice",
    ),
    FixedForm(
        rf"^{LEAD}(?:(?:start|begin) (?:each|every) sentence with a (?:different|unique) (?:word|letter)|(?:each|every)"
        rf" sentence {MUST} (?:start|begin) with a (?:different|unique) (?:word|letter)|no 2 sentences (?:may|must"
        rf"|should|can) (?:start|begin) with the same word){END}",
        [_PLAIN, " ".join(SENTENCES), "Rain fell on small farms. Old dogs saw that rain on all farms."],
        ["Rain fell on small farms. Rain came at night.", f"{_ONE} {_TWO} Rain came at night."],
        "sentences that start with different words",
        "two that start with one",
    ),
    FixedForm(
        rf"^{LEAD}(?:(?:start|begin) (?:each|every) sentence|(?:each|every) sentence {MUST} (?:start|begin)) with the"
        rf" same word{END}",
        ["Rain fell on small farms. Rain came at night."],
        [_PLAIN, f"{_ONE} Rain came at night. {_TWO}"],
        "sentences that start with one word",
        "one that starts with another",
    ),
    # lines and sentences
    FixedForm(
        rf"^{LEAD}(?:(?:write|put|give|keep|answer|respond|reply)(?: {ANSWER}| everything)?|{ANSWER} {MUST} (?:be|fit"
        r"|stay))(?: entirely| written)?(?: (?:on|in))? (?:a |just |only )?1 (?:single )?(?:continuous )?line(?:"
        rf" only)?(?: of text)?(?:,? (?:without|with no)(?: any)? (?:line ?breaks|new ?lines))?{END}",
        [_PLAIN, _ONE],
        [f"{_ONE}\n{_TWO}", f"{_ONE}\n\n{_TWO}"],
        "a text on one line",
        "one on two",
    ),
    FixedForm(
        rf"^{LEAD}(?:(?:write|put|place|start) (?:each|every) (?:new )?sentence on (?:its own|a separate|a new"
        r"|a different) line|(?:write|put|use) (?:only |exactly )?1 sentence (?:per|on each|in each) line"
        r"|separate (?:the |your |all )?sentences (?:with|by) (?:a )?(?:line ?breaks?|new ?lines?)"
        rf"|(?:start|put|use|insert) a (?:new line|line break) after (?:each|every) sentence){END}",
        ["\n".join(SENTENCES[:3]), f"{_ONE}\n{_TWO}"],
        [_PLAIN, f"{_ONE}\n{_TWO} {_THREE}"],
        "a sentence a line",
        "a line of two",
    ),
    FixedForm(
        rf"^{LEAD}(?:(?:leave|put|use|include|insert) (?:an? |1 )?(?:blank|empty) lines? (?:between (?:the |your"
        r" |all )?paragraphs|after (?:each|every) paragraph)|separate (?:the |your |all )?paragraphs (?:with|by)"
        rf" (?:an? |1 )?(?:blank|empty) lines?){END}",
        [f"{_ONE}\n\n{_TWO}", f"{_ONE}\n\n{_TWO}\n\n{_THREE}"],
        [f"{_ONE}\n{_TWO}"],
        "a blank line between paragraphs",
        "none",
    ),
    FixedForm(
        rf"^{LEAD}(?:(?:(?:every|each) sentence {MUST} be|write (?:every|each) sentence as) a question|(?:ask|write"
        rf"|use)(?: in)? only(?: in)? questions|only (?:ask|write|use)(?: in)? questions){END}",
        ["Did dogs sleep? Is it cold?", "Is it cold? Who came? Did dogs sleep?"],
        ["Did dogs sleep? Rain fell.", _PLAIN, "Rain fell. Is it cold?"],
        "questions",
        "a sentence that is none",
    ),
    FixedForm(
        rf"^{LEAD}(?:(?:end|finish|conclude)(?: {ANSWER})? (?:with|on)|{ANSWER} {MUST} end (?:with|on)|the last"
        rf" sentence{OF_ANSWER} {MUST} be) a question{END}",
        ["Rain fell. Is it cold?", "Nobody came. Did dogs sleep?"],
        ["Is it cold? Rain fell.", _PLAIN],
        "a question at the end",
        "none there",
        lambda text: text.rstrip().endswith("?"),
    ),
    FixedForm(
        rf"^{LEAD}(?:(?:answer|respond|reply)(?: only)? with|{ANSWER} {MUST} be) a question{END}",
        ["Is it cold?", "Did dogs sleep?"],
        [_PLAIN, _ONE],
        "a question",
        "none",
    ),
    FixedForm(
        rf"^{LEAD}{NOT} (?:end|finish|conclude)(?: {ANSWER})? with a question{END}",
        [_PLAIN, "Is it cold? Rain fell."],
        ["Rain fell. Is it cold?", "Who came?"],
        "no question at the end",
        "one there",
    ),
    FixedForm(
        rf"^{LEAD}number (?:each|every|all(?: the)?|the) lines?{END}",
        [f"1. {_ONE}\n2. {_TWO}", f"1. {_ONE}\n2. {_TWO}\n3. {_THREE}"],
        [f"{_ONE}\n{_TWO}", f"1. {_ONE}\n{_TWO}"],
        "numbered lines",
        "a line without a number",
    ),
    FixedForm(
        r"^end (?:every|each) sentence with a full stop, (?:never|not) with a question mark or an exclamation"
        r" (?:mark|point)",
        [_PLAIN],
        ["Is it cold? Rain fell.", "Rain fell. It is cold!", "It is cold! Is it cold?"],
        "sentences that end with full stops",
        "one that doesn't",
    ),
    # capitals, numbers
    FixedForm(
        rf"^{LEAD}(?:write|put) (?:(?:every|each|all) words? (?:of|in) |all of )?the first line{OF_ANSWER} {_CAPITALS}"
        rf"{END}",
        [f"RAIN FELL ON SMALL FARMS.\n{_TWO}", f"WARM HAY\n\n{_PLAIN}"],
        [f"Rain Fell On Small Farms.\n{_TWO}", f"RAIN fell on small farms.\n{_TWO}", f"{_ONE}\nOLD DOGS SLEPT."],
        "a first line in capital letters",
        "one with small letters",
    ),
    FixedForm(
        rf"^{LEAD}(?:the first word{OF_ANSWER} {MUST} be(?: written)?|(?:write|put) the first word{OF_ANSWER})"
        rf" {_CAPITALS}{END}",
        ["RAIN fell on small farms"],
        [_ONE, "Rain FELL on small farms.", "Rain fell on small FARMS."],
        "a first word in capital letters",
        "one in small letters",
    ),
    FixedForm(
        rf"^{LEAD}(?:the last word{OF_ANSWER} {MUST} be(?: written)?|(?:write|put) the last word{OF_ANSWER})"
        rf" {_CAPITALS}{END}",
        ["Rain fell on small FARMS"],
        [_ONE, "RAIN fell on small farms.", "Rain fell on SMALL farms."],
        "a last word in capital letters",
        "one in small letters",
    ),
    FixedForm(
        rf"^{LEAD}(?:mention|include|use|name) (?:a|at least (?:1|a))"
        rf" (?:4[- ]digit (?:year|number)|year(?: (?:with|of|in) 4 digits)?){OF_ANSWER}(?=[.!]?$)",
        ["Rain fell in 1987 on small farms.", "In 2021, old dogs slept by an open gate."],
        [_PLAIN, "Rain fell on 87 farms."],
        "a text with a year",
        "one without",
    ),
    FixedForm(
        rf"^{LEAD}(?:include|use|mention) (?:a|at least 1) percentage{END}",
        ["Rain fell on 25% of all farms.", "Old dogs slept 7% more."],
        [_PLAIN, "Rain fell on 25 farms."],
        "a percentage",
        "none",
    ),
    FixedForm(
        rf"^{LEAD}(?:end|finish|conclude)(?: {ANSWER})? with a (?:number|digit){END}",
        ["Old dogs slept by gate 7", "Rain fell on farm 12"],
        ["7 old dogs slept by an open gate", "Rain fell on farm 12 at night"],
        "a number at the end",
        "none there",
    ),
    FixedForm(
        rf"^{LEAD}(?:end|finish|conclude)(?: {ANSWER})? with an emoji{END}",
        [f"{_ONE} \U0001f642", f"{_PLAIN} \U0001f600"],
        [_ONE, f"\U0001f642 {_ONE}"],
        "an emoji at the end",
        "none there",
    ),
    FixedForm(
        rf"^{LEAD}(?:start|begin)(?: {ANSWER})? with an emoji{END}",
        [f"\U0001f642 {_ONE}", f"\U0001f600 {_PLAIN}"],
        [_ONE, f"{_ONE} \U0001f642"],
        "an emoji at the start",
        "none there",
    ),
    FixedForm(
        rf"^{LEAD}write (?:all |any |every )?numbers? (?:as|in|with|using) (?:digits|numerals|figures){END}",
        ["7 old dogs slept by 2 gates."],
        ["Seven old dogs slept by two gates."],
        "numbers in digits",
        "numbers in words",
    ),
    FixedForm(
        rf"^{LEAD}(?:use|include) (?:a|at least 1) dash{END}",
        ["Rain fell - in time – on small farms — and hills."],
        [_PLAIN],
        "dashes of every kind",
        "none",
    ),
    FixedForm(
        rf"^{LEAD}(?:put|write|set|give) (?:the|your) title {_CAPITALS}{END}",
        [f"OLD FARMS\n\n{_PLAIN}"],
        [f"Old farms\n\n{_PLAIN}", f"Old Farms\n\n{_ONE.upper()}"],
        "a title in capital letters",
        "another",
    ),
    FixedForm(
        rf"^{LEAD}(?:leave|put|use|include) (?:an? |1 )?(?:blank|empty) lines? (?:between (?:the |all |your )?sentences"
        rf"|after (?:each|every) sentence){END}",
        ["\n\n".join(SENTENCES[:2]), "\n\n".join(SENTENCES[:3])],
        [_PLAIN, f"{_ONE}\n{_TWO}"],
        "a blank line after each sentence",
        "none",
    ),
    FixedForm(
        rf"^{LEAD}(?:use|write in|answer in|respond in|reply in)(?: only)? plain text(?: only)?{END}",
        [_PLAIN],
        [_MARKED],
        "plain text",
        "Markdown",
    ),
    # lists, headings, quotation marks
    _ask("(?:at least 1|an?) (?:markdown )?head(?:ing|er)", "a heading", [_HEADED]),
    _ask(
        "(?:some )?(?:markdown )?head(?:ing|er)s", "headings", [f"{_HEADED}\n\n## Hay\n\n{_THREE}\n\n## Milk\n\n{_ONE}"]
    ),
    _ask("(?:a|at least 1) (?:markdown )?table", "a table", [_TABLE, f"{_ONE}\n\n{_TABLE}"]),
    FixedForm(
        rf"^{LEAD}(?:put|write|set|use) at least 1 word in italics{END}",
        ["Rain *fell* on small farms."],
        [_PLAIN, "Rain * fell on small farms."],
        "a word in italics",
        "none",
    ),
    FixedForm(
        rf"^{LEAD}{_WRITE} (?:an? )?(?:list of )?(?:markdown )?(?:bullet(?:ed)? (?:points|list)|bullets)(?:"
        rf" only)?{END}",
        [_ITEMS[0], "- Rain fell.\n- Old dogs slept.\n- Nobody came."],
        [_PLAIN, "hay, milk, bread"],
        "bullet points",
        "none",
    ),
    FixedForm(
        rf"^{LEAD}{_WRITE} an? numbered list{END}",
        [_ITEMS[1], "1. Rain fell.\n2. Old dogs slept.\n3. Nobody came."],
        [_PLAIN, _ITEMS[0], "hay, milk, bread"],
        "a numbered list",
        "none",
    ),
    FixedForm(
        rf"^{LEAD}(?:{_WRITE} an? comma[- ]separated list|separate (?:the |your |all |each )?items?"
        rf" (?:with|by) (?:commas|a comma)){END}",
        ["hay, milk, bread", "rain, wind, old dogs"],
        [_ITEMS[0], "hay; milk; bread", "hay\nmilk\nbread"],
        "items with commas between them",
        "other items",
    ),
    FixedForm(
        rf"^{LEAD}separate (?:the |your |all |each )?items? (?:with|by) (?:semicolons|a semicolon){END}",
        ["hay; milk; bread", "rain; wind; old dogs"],
        [_ITEMS[0], "hay, milk, bread", "hay\nmilk\nbread"],
        "items with semicolons between them",
        "other items",
    ),
    FixedForm(
        rf"^{LEAD}(?:start|begin)(?: {ANSWER})? with a (?:markdown )?heading{END}",
        [_HEADED],
        [_PLAIN, f"{_PLAIN}\n\n{_HEADED}"],
        "a heading first",
        "none first",
    ),
    FixedForm(
        rf"^{LEAD}(?:(?:write|put|make|format|set) (?:the|your) title|(?:the|your) title {MUST} be)(?: in)?"
        rf" bold(?: text)?{END}",
        [f"**Old farms**\n\n{_PLAIN}"],
        [f"Old farms\n\n{_PLAIN}", "Old farms\n\nRain **fell** on small farms."],
        "a title in bold",
        "another",
    ),
    FixedForm(
        r"^(?:place|put|include|write|use) (?:at least (?:1|a) pair|a pair) of words (?:between|in|inside)"
        r" (?:straight )?double quot(?:es|ation marks)",
        ['Rain fell "on farms" all day.', '"Old dogs" slept by an open gate.'],
        [_PLAIN, "Rain fell 'on farms' all day.", 'Rain fell "on farms all day.', 'Rain "fell" on farms all day.'],
        "two words in quotation marks",
        "none",
    ),
)
