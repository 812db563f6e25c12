"""Other words for the same: an instruction as the readers of this package know it.

    put_plainly("Don't go past four sentences.")                   "do not write more than four sentences."
    put_plainly("The word 'river' should come up exactly twice.")  'The word "river" should appear exactly twice.'

What stands in quotation marks stays as it is. What nothing here knows stays, too, and the readers then refuse it.
"""

import re
from typing import Final

from autoif.faults.things import THINGS
from autoif.faults.wording import cut_quoted

_RESPONSE: Final = "your response"
_NUMBERED: Final = r"(\w+(?:-\w+)?)"
_THING: Final = "|".join(thing.wording for thing in THINGS.values())
_CASE: Final = r"((?:lower|upper)[- ]?case|capitals?|caps)"
_EXAMPLE: Final = re.compile(
    r"[,;]? ?\(?(?:\b(?:such as|e\.g\.|i\.e\.|for example|for instance|as in)|\blike (?=[\[<{*`#($@]))(?![\"'”’])",
    re.IGNORECASE,
)
_SIGN: Final = re.compile(r"[\[\]<>{}*`~$#@|%\d]")
"""An example of a form has them. What is named in words may be what is asked for."""
_ASIDE: Final = re.compile(
    r" ?\((?:[^()\n]{0,40}[*#<>\[\]_`~-][^()\n]{0,40}|like this|spaces included)\)", re.IGNORECASE
)
_RAW: Final = (
    (r"\ba (?:dash|hyphen) and (?:then )?a (?:single )?space\b", '"- "'),
    (r"\ban? asterisk and (?:then )?a (?:single )?space\b", '"* "'),
    (r"[.;,]? ?you (?:can|may) (?:also )?use markdown (?:ticks|fences|backticks|code blocks)[^\n]*$", "."),
    (r"[.;,]? (?:and )?no other (?:language (?:should|may|must|can|is)|(?:words|text) (?:should|may|must|can)"
     r" (?:follow|come after))\b[^.\n]*", ""),
    (r"https://(?=[.\"'\s]|$)", "https"),
    (r",? (?:including|counting|with) (?:the )?spaces\b", ""),
    (r"[.;,] (?:and )?(?:spell|write) (?:out )?(?:all |the |any )?numbers?(?: out)?(?: as words| in words| in"
     r" full)?(?=\W*$)", ""),
    (r"\b((?:lower|upper)[- ]?case(?: letters)?|capital letters)[;.,] ?(?:and )?(?:there (?:must|should) be )?no"
     r" (?:capital|upper[- ]?case|lower[- ]?case|small) letters(?: (?:are|is) (?:allowed|permitted))?(?=\W*$)", r"\1"),
    (r"^((?:finish|end) your response with) this exact phrase:? ([^\"'“‘].{1,100}?)\.?$", r'\1 the phrase "\2"'),
    (r"(?<=bullet points),? (?:each )?(?:using|with|marked (?:with|by)|(?:starting|beginning) with) (?:an?"
     r" )?[\"'`]?[*•+-][\"'`]?"
     r"(?: (?:at the start|in front|at the beginning)(?: of each(?: one| point| item| line)?)?)?(?=[.;,]|$)", ""),
    (r"\bin english,? and (?:also )?(?=(?:written )?in (?:all )?(?:capital|lower|upper))", ""),
)  # fmt: skip
_FRAME: Final = (
    # what says nothing
    (r"^i(?:'d| would)? (?:like|want|prefer|need)\b[^:\0]{0,60}: ?", "write "),
    (r"(?:^please,? |,? please(?=[.!]?$))", ""),
    (r" (?:entirely|completely)(?=[.!]?$)", ""),
    (r"\b(?:explicitly|kindly|simply|strictly|absolutely) ", ""),
    (r"^(?!all\b)(.*?) (?:altogether|at all|whatsoever|overall|in total|all told)(?=[,.;!]|$)", r"\1"),
    (r"^(?:make sure|ensure|be sure|see to it|remember)(?: that| to)? (?=(?:the|your|each|every|no|there)\b)", ""),
    (r"^(?:make sure|be sure|remember|take care|try) to ", ""),
    (r"^(?:make|have) (?=(?:each|every) )", ""), (r"\b(each|every) new (line|paragraph|sentence)\b", r"\1 \2"),
    (r"\b(?:nothing but|exclusively|solely)\b", "only"),
    (r"^(include|use) an? word (?=that |with |of )", r"\1 at least 1 word "),
    # the answer
    (r"\b(?:your|the) (?:(?:whole|entire|full) answer|(?:(?:whole|entire|full|final) )?(?:output|message|reply"
     r"|response|text))\b|(?<!\bput )(?<!\bplace )(?<!\benclose )(?<!\bwrap )\b(?:your|the) answer\b", _RESPONSE),
    (r"^(?:the )?(?:entire|whole) (?:output|message|reply|answer|response|text)\b", _RESPONSE),
    (r"^(?:write|put|give|keep) everything\b", f"write {_RESPONSE}"),
    # must, must not
    (r"\b(?:has|have|needs?|ought) to\b|\b(?:is|are) (?:required|supposed|expected) to\b|\bshall\b", "must"),
    (r"^(?:it is|it's) (?:forbidden|prohibited|not (?:allowed|permitted)) to\b", "do not"),
    (r"^you (?:are not|aren't|must not|may not|mustn't) (?:allowed to|permitted to)?", "do not"),
    (r"^under no circumstances (?:should|may|must|can)?(?: you)?", "do not"),
    (r"^(?:but )?(?:never|not) (?=(?:the|any)\b|\0)", "do not use "),
    (r"^(?:the )?(words?|terms?|phrases?|letters?|names?) (\0[\0, andor]*?) (?:is|are|must be)"
     r" (?:off[- ]limits|forbidden|banned|prohibited|avoided|not (?:allowed|permitted)|taboo)",
         r"do not use the \1 \2"),
    (r"^leave ((?:the |any )?(?:\w+ )?\0) out(?: of (?:it|this|your response))?(?=[.!]?$)", r"do not use \1"),
    (r"^(?:steer clear of|stay away from|skip|omit|leave out|shun|without)\b", "avoid"),
    (r"^(?:have|with) no\b", "use no"),
    (r"^no ((?:\w+ ){0,2}?\w+)(?: (?:anywhere|allowed|are allowed|is allowed|in your response))?(?=[.!]?$)",
        r"use no \1"),
    (r"^there (?:must|should) be no ", "use no "),
    # how many
    (r"^limit the number of ([a-z ]{1,30}) to (\w+)(?=[.!]?$)", r"use at most \2 \1"),
    (r"\b(?:do not|don't|never|must not) (?:go|run|get|stray) (?:past|over|beyond|above)\b", "do not write more than"),
    (r"\b(?:do not|don't|never) (?:exceed|surpass|top)\b", "do not write more than"),
    (rf"\b(?:in|with|use|write|give) {_NUMBERED} ((?:\w+ )?\w+),? (?:no more,? (?:and |or |but )?no (?:fewer|less)"
     rf"|neither more nor (?:fewer|less)|no (?:fewer|less),? (?:and |or |but )?no more)\b", r"with exactly \1 \2"),
    (r"\b(?:stay|keep (?:it|this|things)|aim for|shoot for) (?:somewhere |anywhere )?between\b", "write between"),
    (r"\b(?:somewhere|anywhere|anything) (?=between\b|from\b)", ""),
    (r"\bmust run to\b", "must have"),
    (r"\bor (?:longer|above|over|greater|higher)\b", "or more"),
    (r"\bor (?:shorter|under|below|lower)\b", "or fewer"),
    (r"\b(?:keep|limit|restrict|cap|hold) (?:it|this|things|yourself|your response) (?:to|at)"
     r" (?=at (?:least|most)|no (?:more|fewer)|fewer|less|under|below|exactly|between)", "use "),
    (r"\b(?:keep|limit|restrict|cap|hold) (?:it|this|things|yourself) (?:to|at|within)\b", "use at most"),
    (r"^stay (?:under|below)\b", "write under"),
    (r",? with a blank line between (?:one and the next|each|each of them|each paragraph|each pair|them all)\b",
     ", with a blank line between them"),
    (r"^(?:split|divide|break(?: up)?|structure|organi[sz]e|arrange) your response (?:up )?(?:into|in|as)\b", "write"),
    (r"^(?:give me|provide|present|list(?! [^.,;]{0,20}\bwords\b)|produce|come up with)\b"
     r"(?! [^.,;]{0,20}\bcharacters\b)", "write"),
    (r"^(?:add|insert|incorporate|feature|weave in|work in|throw in|put in|supply)\b", "include"),
    (r" (?:in|using) (?:the )?markdown (?:format|syntax)(?=[,.;]|$)", ""),
    (r"[.;,]? ?use the markdown bullet points(?=[.]?$)", ""),
    (r"^(write|answer|respond) (?:with )?(?:your |the |some )?"
     r"(?:suggestions|ideas|tips|points|reasons|steps|options|items)"
     r" (?:as|in) (?=a (?:numbered|bullet))", r"\1 "),
    (r"\ba (numbered|bulleted) list (?:with|of) (.{1,30}?) (?:entries|steps|elements)\b", r"a \1 list of \2 items"),
    # words that are named
    (r"\bthe \0 (word|letter|symbol|sign|character|phrase|emoji|hashtag)\b", "the \\1 \0"),
    (r"\[(\0(?:, ?\0)*)\]", r"\1"),
    (r"\b(must|should) (?:show|come|turn|pop|crop) up\b"
     r"|\b(must|should) be (?:found|present|used|mentioned|included)\b", r"\1\2 appear"),
    (r"^(the (?:\w+ )?\0) (?:shows? up|comes? up|turns? up|pops? up|appears?|is (?:used|mentioned|included|there))\b",
     r"\1 must appear"),
    (r"^give (?:an?|one|some) \w+ (?:containing|including|with|that contains|mentioning) (?=(?:the )?(?:\w+ )?\0)",
        "include "),
    (r"^using\b", "use"), (r"^(?:containing|including)\b", "include"), (r"^mentioning\b", "mention"),
    # starts and ends
    (r"^(?:kick (?:things |it |your response )?off|open(?: things| it| your response)?|lead off)"
     r"(?: with| by (?:writing|saying))", "start with"),
    (r"^(?:sign off|close(?: off)?|wrap up|round off|finish up|finish off)(?: things| it| your response)?"
     r"(?: with| by (?:writing|saying))", "end with"),
    (r"^(?:finish|end|conclude) your response with this exact (\w+):? \0\.?", 'end with the \\1 \0'),
    (r"\bfinal (line|sentence|paragraph|word)\b", r"last \1"),
    (r"\bvery (first|last)\b", r"\1"),
    (r"\b1st\b", "first"), (r"\b2nd\b", "second"), (r"\b3rd\b", "third"), (r"\b4th\b", "fourth"),
    (r"\bmust (?:read|say|state)(?: exactly| just)? (?=\0)", "must be "),
    # letter case, JSON
    (rf"(?<!\buse )(?<!\bcontain )\bonly {_CASE}\b", r"all \1"),
    (rf"\b{_CASE}(?: letters)? only\b", r"all \1 letters"),
    (r"^your response must be (?:entirely )?(?:written )?(?=in (?:all )?(?:lower|upper|capital|caps))",
        f"write {_RESPONSE} "),
    (r"^your response must be (?:wrapped|formatted|given|presented|written)? ?(?:in|as|inside) (?:an? )?(?:valid"
     r" )?json(?: format)?",
     "write json"),
    (r"^(?:write|put|spell|keep|make) (?:each|every|all)(?: the)? (?:words?|letters?)(?= (?:in )?(?:all"
     r" )?(?:lower|upper|capital|caps))",
        f"write {_RESPONSE}"),
    (r"^(?:return|output|give|format) your response as\b|^return\b", "write"),
    (r"^(?:each|every|all)(?: the)? (?:words?|letters?) must be (?:written )?(?:in )?(?=(?:all )?(?:lower|upper"
     r"|capital|caps)(?!i))",
     f"write {_RESPONSE} in "),
    (r"^(?:do not|don't|never) capitali[sz]e (?:anything|any (?:letters?|words?))", f"write {_RESPONSE} in lower case"),
    (r"\b(the first (?:letter|character)(?: of [\w ]{1,30})?) (?:is|must be) (?:capitali[sz]ed|(?:in )?upper[-"
     r" ]?case)\b",
     r"\1 must be a capital letter"),
    (r"^(?:put|place|include|write|use) ([^,;.]{1,20}) between (?:the |your |all )?(paragraphs|sections"
     r"|parts)(?=[.!]?$)",
     r"separate the \2 with \1"),
    (r"^(?:use|include|put) (?:some )?(?:text|something) in (?:parentheses|round brackets)(?=[.!]?$)",
     "use at least 1 pairs of parentheses"),
    # things
    (rf"^put (?:your|the|any|all) code (?:in|inside|into) (?:an? )?(?={_THING})", "include at least 1 "),
    (r"^highlight (.{1,40}?\b)(sections?|words?|phrases?|parts?)\b(?=[^\0]*$)", r"use \1highlighted \2"),
    (r"\buse bold (?:text |type |print )?(?:for|on) (.{1,30}?\b)(words?|phrases?)\b", r"use \1bold \2"),
    (r"\bwords (?:with|in|written in) all[- ](?:capital letters|caps|capitals) must appear (.{1,30}?) times?\b",
     r"use \1 all-capital words"),
    (r"^(?:use|include) (?:some )?(?:parentheses|round brackets)(?=[.!]?$)", "use at least 1 pairs of parentheses"),
    (r"\buse (?:parenthes[ie]s|round brackets) at least (once|twice|\w+ times)\b", r"use at least \1 pairs of"
     r" parentheses"),
    (r"\bat least once pairs\b", "at least 1 pairs"),
    (r"\bat least twice pairs\b", "at least 2 pairs"), (r"\b(\w+) times pairs\b", r"\1 pairs"),
)  # fmt: skip
_RAW_FORMS: Final = [(re.compile(form, re.IGNORECASE), plain) for form, plain in _RAW]
_FRAME_FORMS: Final = [(re.compile(form, re.IGNORECASE), plain) for form, plain in _FRAME]
_LONGEST: Final = 1000
"""Characters of an instruction that is put otherwise."""


def put_plainly(instruction: str) -> str:
    """Return an instruction in plainer words, without examples of a form at its end."""
    marked = "*" in instruction or "markdown" in instruction.lower()
    if len(instruction) > _LONGEST or ("highlight" in instruction.lower() and not marked):
        return instruction
    words = _ASIDE.sub("", cut_example(" ".join(instruction.split()))[0])
    for form, plain in _RAW_FORMS:
        words = form.sub(plain, words)
    frame, texts = cut_quoted(words)
    if any('"' in text for text in texts):
        return words
    frame = re.sub(r"\bshould\b", "must", frame)
    for form, plain in _FRAME_FORMS:
        frame = form.sub(plain, frame).strip()
    if frame.count("\0") != len(texts):
        return words
    named = iter(texts)
    return re.sub("\0", lambda _: f'"{next(named)}"', frame)


def cut_example(instruction: str) -> tuple[str, str]:
    """Return an instruction without the example of a form at its end, and the example; "" if there is none."""
    if (match := _EXAMPLE.search(instruction)) and _SIGN.search(instruction, match.end()):
        return instruction[: match.start()], instruction[match.end() :].strip(" :.,)")
    return instruction, ""
