"""Rewords an instruction as the readers of this package know it.

    put_plainly("Don't go past four sentences.")                   "do not write more than four sentences."
    put_plainly("The word 'river' should come up exactly twice.")  'The word "river" should appear exactly twice.'

Quoted texts stay as they are. Words that no rule here knows stay, too, and the readers then refuse the instruction.
"""

import re
from typing import Final

from autoif.faults.counts import IN_PAIRS, SIGNS, UNITS
from autoif.faults.things import THINGS
from autoif.faults.wording import cut_quoted

_RESPONSE: Final = "your response"
_NUMBERED: Final = r"(\w+(?:-\w+)?)"
_THING: Final = "|".join(thing.wording for thing in THINGS.values())
_SIGN_NAME: Final = "|".join(UNITS[name] for name in SIGNS if name not in IN_PAIRS)
_CASE: Final = r"((?:lower|upper)[- ]?case|capitals?|caps)"
_EXAMPLE: Final = re.compile(
    r"[,;]? ?\(?(?:\b(?:such as|e\.g\.|i\.e\.|for example|for instance|as in)|\blike (?=[\[<{*`#($@]))(?![\"'”’])",
    re.IGNORECASE,
)
_SIGN: Final = re.compile(r"[\[\]<>{}*`~$#@|%\d]")
"""An example of a form has one of these; an example in plain words may be what is asked for."""
_ASIDE: Final = re.compile(
    r" ?\((?:[^()\n]{0,40}[*#<>\[\]_`~-][^()\n]{0,40}|[^\w\s()\"'“‘]{1,9}|like this|spaces included|inclusive)\)",
    re.IGNORECASE,
)
_LISTED: Final = re.compile(
    r"(?P<said>\b(?:words|keywords|terms|phrases|options|letters|names|following|these): ?)"
    r"(?P<items>[\w'-]+(?:, ?[\w'-]+){0,19}(?:,? (?:and|or) [\w'-]+)?)(?=\.?$)",
    re.IGNORECASE,
)
"""Words that are named one after the other, without quotation marks."""
_TOLD: Final = re.compile(
    rf"^({_RESPONSE}|(?:each|every|the \w{{4,6}}) (?:line|sentence|paragraph|bullet point|list item|item|word)"
    r"(?: (?:of|in) your response)?) (is|has|contains|includes|uses|starts|begins|ends|consists|mentions|stays)\b"
    r"(?! to\b)",
    re.IGNORECASE,
)
"""Says what the answer does and means that it must: "make sure your response is …"."""
_BASE: Final = {"is": "be", "has": "have"}
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
    (r"(?<![\"'“‘])\ba horizontal rule\b(?![\"'”’])", '"---"'),
    (r"\bhead(?:ing|er)(s?),? (?:(?:each|all) )?(?:starting|beginning|marked) with [\"'`]?##[\"'`]?(?!#)",
     r"level-2 heading\1"),
    (r"\bwith (?:a|one) single key(?: called| named)?\b", "with only the key"),
    (r"\b((?:lower|upper)[- ]?case|capital) english (?=letters\b)", r"\1 "),
    (r"\bjson(?: format)? (?=with (?:exactly |only )?(?:the |these )?(?:following )?keys?\b)", "json object "),
    (r"\btoday['’]s date\b", "the date"),
    (r",? (?:\binclusive(?:ly)?|\(inclusive\))(?=[,.;]|$)", ""),
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
    (r"\bdon['’]t\b", "do not"), (r"\b(?:must|should)n['’]t\b", "must not"),
    (r"^(?:type|compose|craft|phrase)\b", "write"),
    (r"^(?:explain|describe|summari[sz]e|discuss|introduce|define|present|tell|write|make|keep|i want)"
     r"(?: (?:it|this|that|them|everything|(?:your|the) (?:ideas?|thoughts|opinion|reasoning|view|point|story|concept"
     r"|topic|plot|whole thing)))? (?=(?:in|within|with|using|exactly|at least|at most|no more than) )", "write "),
    (r"\b(?:first|second|third)[- ]person (?=pronouns?\b)", ""),
    (r"\b(?:technical|(?<!most )important|key|main|relevant) (?=(?:terms?|words?|phrases?|sections?)\b)", ""),
    (r"\b(?:short|brief|concise|complete|full|clear) (?=(?:sentences?|paragraphs?|lines)\b)", ""),
    (r"(?<=\w) throughout(?: your response| the (?:response|answer|text))?(?=[.!]?$)", ""),
    (r"\bask (?:the reader|me|us|the user) ", "ask "),
    (r"^(answer|respond|reply) (with .{1,80}?),? and nothing (?:else|more)(?=[.!]?$)", r"\1 only \2"),
    (r",? and (?:put )?nothing (?:else )?(?:before|after) it(?=[.!]?$)", ""),
    (r"(?<=\w),? (?:not a word more (?:or|and|nor) less|no more,? (?:and |or )?no less)(?=[.!]?$)", ""),
    # the answer
    (r"\b(?:your|the) (?:(?:whole|entire|full) answer|(?:(?:whole|entire|full|final) )?(?:output|message|reply"
     r"|response|text))\b|^all(?: of the)? text\b"
     r"|(?<!\bput )(?<!\bplace )(?<!\benclose )(?<!\bwrap )\b(?:your|the) answer\b", _RESPONSE),
    (r"^((?:(?:start|begin|end|finish|conclude|keep|limit|write|give) )?)your (?:essay|summary|story|poem|article"
     r"|letter|e-?mail(?! address)|speech|(?:blog )?post|description|explanation|review|tweet|report)\b",
     rf"\1{_RESPONSE}"),
    (r"^(?:the )?(?:entire|whole) (?:output|message|reply|answer|response|text)\b", _RESPONSE),
    (r"^(?:write|put|give|keep) everything\b", f"write {_RESPONSE}"),
    # must, must not
    (r"\b(?:has|have|needs?|ought) to\b|\b(?:is|are) (?:required|supposed|expected) to\b|\bshall\b", "must"),
    (r"^(your response) (?:can't|can’t|cannot|may not)\b", r"\1 must not"),
    (r"\bmust (?:contain|use|include|mention) neither (\0),? nor (\0)", r"must not contain \1 or \2"),
    (r"^say (?=(?:the )?(?:\w+ )?\0)", "use "),
    (r"^(?:it is|it's) (?:forbidden|prohibited|not (?:allowed|permitted)) to\b", "do not"),
    (r"^you (?:(?:are not|aren't) (?:allowed|permitted) to|must not|may not)\b", "do not"),
    (r"^under no circumstances (?:should|may|must|can)?(?: you)?", "do not"),
    (r"^(?:but )?(?:never|not) (?=(?:the|any)\b|\0)", "do not use "),
    (r"^(?:the )?(words?|terms?|phrases?|letters?|names?) (?:like |such as )?(\0[\0, andor]*?) (?:is|are|must be)"
     r" (?:off[- ]limits|forbidden|banned|prohibited|avoided|not (?:allowed|permitted)|taboo)",
         r"do not use the \1 \2"),
    (r"^leave ((?:the |any )?(?:\w+ )?\0) out(?: of (?:it|this|your response))?(?=[.!]?$)", r"do not use \1"),
    (r"^(?:steer clear of|stay away from|skip|omit|leave out|shun|without)\b", "avoid"),
    (r"^(?:have|with) no\b", "use no"),
    (rf"^(avoid(?: using)?|(?:do not|never) use|use no|refrain from using)(?: any)? ({_SIGN_NAME})"
     rf" (?:and|or|nor)(?: any)? ({_SIGN_NAME})(?=[.!]?$)", r"avoid \2; avoid \3"),
    (r"^(?:write|answer|respond|reply)(?: your response)? without (?:using |including |mentioning )?"
     r"(?=(?:the |any )?(?:\w+ )?\0)", "do not use "),
    (r"^no ((?:\w+ ){0,2}?\w+)(?: (?:anywhere|allowed|are allowed|is allowed|in your response))?(?=[.!]?$)",
        r"use no \1"),
    (r"^there (?:must|should) be no ", "use no "),
    (r"^none of (?:your|the) (line|sentence|paragraph|word)s (?=(?:may|must|can)\b)", r"no \1 "),
    (r"^there must be (?=an? (?:line break|new line|blank line)\b)", "use "),
    # how many
    (r"\bmax\b\.?(?= (?:of )?\w+ \w|$)", "maximum"), (r"\bmin\b\.?(?= (?:of )?\w+ \w|$)", "minimum"),
    (r"\b(\d+)\+ (?=\w)", r"at least \1 "),
    (r"\b(?:may|must|can) exceed (?=\w+(?:-\w+)? (?:words?|characters?|sentences?)\b)", "may have more than "),
    (r"^((?:at least|exactly|at most|no more than|no fewer than) [\w-]+ words) must be"
     r" (?:fully|entirely|completely|all) (?:capitali[sz]ed|upper[- ]?case)\b", r"use \1 in capital letters"),
    (r"^((?:at least|exactly|at most|no more than|no fewer than) [\w-]+ [a-z ]{3,25}?) must"
     r" (?:be (?=in\b)|(?:appear|be (?:used|included))(?=[.!]?$))", r"use \1 "),
    (r"^(?:write|give)(?: me)? an? (\w+)-(sentence|paragraph|line)"
     r" (?:answer|response|reply|summary|explanation|description)(?=[.!]?$)", r"write exactly \1 \2s"),
    (r"\ba bullet(?:ed)?(?: point)? list (?:of|with|containing) (.{1,20}?) (?:items?|points?|entries|bullets)\b",
     r"\1 bullet points"),
    (r"\ba list of (?=(?:exactly |precisely |at least |at most )?\w+ bullet(?:s| points)\b)", ""),
    (r"^limit the number of ([a-z ]{1,30}) to (\w+)(?=[.!]?$)", r"use at most \2 \1"),
    (r"\b(?:do not|don't|never|must not) (?:go|run|get|stray) (?:past|over|beyond|above)\b", "do not write more than"),
    (r"\b(?:do not|don't|never) (?:exceed|surpass|top)\b", "do not write more than"),
    (rf"\b(?:in|with|use|write|give) (?!in |with ){_NUMBERED} ((?:\w+ )?\w+),?"
     r" (?:no more,? (?:and |or |but )?no (?:fewer|less)|neither more nor (?:fewer|less)|no (?:fewer|less),?"
     r" (?:and |or |but )?no more)\b", r"with exactly \1 \2"),
    (r"\b(?:stay|keep (?:it|this|things)|aim for|shoot for) (?:somewhere |anywhere )?between\b", "write between"),
    (r"\b(?:somewhere|anywhere|anything) (?=between\b|from\b)", ""),
    (r"^(?:aim|shoot|go) for (?=\w+(?:-\w+)? ?(?:-|–|to) ?\w+(?:-\w+)? \w+\b)", "write "),
    (rf"\b(?:an? |the )?(?:total )?(word|sentence|line|paragraph|character) (?:count|limit)(?: of {_RESPONSE})?"
     r"(?: must be| must stay| of| is)? ((?:(?:at least|at most|(?:no )?(?:more|fewer|less) than|under|over"
     r"|below|exactly|up to|between \w+(?:-\w+)? (?:and|to)) \w+(?:-\w+)?|\d+ ?[-–] ?\d+))(?=\W*$)",
     r"use \2 \1s"),
    (r"\b(your response must (?:have|use)) use\b", r"\1"),
    (rf"^(?:{_RESPONSE} must (?:consist of|comprise|be composed of|be made up of|be)|(?:write|answer|respond"
     r"|reply) (?:in|with|using)|write)"
     r"(?: just| only)? (?:an? single|(?:a )?(?:1|one)(?: single)?) (word|sentence|paragraph|line)"
     r"(?: long| only)?(?=\.?$)", r"write exactly 1 \1"),
    (rf"^(?:{_RESPONSE} must (?:consist of|comprise|be composed of|be made up of|be|have)"
     rf"|(?:write|answer|respond|reply) (?:in|with|using)|write)(?: just| only)? (?!\d+-){_NUMBERED}"
     r" (sentences|paragraphs|lines|bullet points)"
     r"(?: long| only| in length)?(?=[.,;]|$)", r"write exactly \1 \2"),
    (r"\bmust run to\b", "must have"),
    (r"\bor (?:longer|above|over|greater|higher)\b", "or more"),
    (r"\bor (?:shorter|under|below|lower)\b", "or fewer"),
    (r"\b(?:keep|limit|restrict|cap|hold) (?:it|this|things|yourself|your response) (?:to|at)"
     r" (?=at (?:least|most)|no (?:more|fewer)|fewer|less|under|below|exactly|between)", "use "),
    (r"\b(?:keep|limit|restrict|cap|hold) (?:it|this|things|yourself) (?:to|at|within)\b", "use at most"),
    (r"^stay (?:under|below)\b", "write under"),
    (r",? with a blank line between (?:one and the next|each|each of them|each paragraph|each pair|them all)\b",
     ", with a blank line between them"),
    (r"^(?:split|divide|break(?: up)?|structure|organi[sz]e|arrange) your response (?:up )?(?:into|in|as|with)\b",
     "write"),
    (r"^(?:give me|provide|present|list(?! [^.,;]{0,20}\bwords\b)|produce|come up with)\b"
     r"(?! [^.,;]{0,20}\bcharacters\b)", "write"),
    (r"^(?:add|insert|incorporate|feature|weave in|work in|throw in|put in|supply)\b", "include"),
    (r" (?:in|using) (?:the )?markdown (?:format|syntax)(?=[,.;]|$)", ""),
    (r"[.;,]? ?use the markdown bullet points(?=[.]?$)", ""),
    (r"^(write|answer|respond) (?:with )?(?:your |the |some )?"
     r"(?:suggestions|ideas|tips|points|reasons|steps|options|items)"
     r" (?:as|in) (?=a (?:numbered|bullet)|exactly|at least|at most)", r"\1 "),
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
    # parts
    (r"\b(each|every|all)(?: of)?(?: the)? (?:(?:list|bullet|bulleted(?: list)?) item|bullet(?! ?points?))(s?)\b",
     r"\1 bullet point\2"),
    (r"\ball(?: of)?(?: the)? items in your bullet(?:ed)? list\b", "all bullet points"),
    (r"^((?:each|every|all) [a-z ]{3,20}?) (start|begin|end)n?ing with\b", r"\1 must \2 with"),
    (r"^((?:each|every|all) [a-z ]{3,20}?) containing\b", r"\1 must contain"),
    (r"^(?:keep|limit|restrict) ((?:each|every) (?:line|sentence|paragraph|bullet point))"
     r" (?:to (?=[^,;]*\bor (?:fewer|less))|(?=(?:under|below)\b))", r"\1 must have "),
    (r"^(?:keep|limit|restrict) ((?:each|every) (?:line|sentence|paragraph|bullet point)) to (?=[\w-]+ \w+[.!]?$)",
     r"\1 must have at most "),
    (r",? with (each (?:line|sentence|paragraph|bullet point)) (?:being |having |containing )?"
     r"(?=(?:no longer|no more|at most|at least|exactly|fewer|under)\b)", r"; \1 must be "),
    (r"\b(start|begin|end)s? in (?=(?:the |an? )?(?:\w+ )?\0)", r"\1 with "),
    # starts and ends
    (r"\bmust open with\b", "must start with"), (r"\bmust (?:close|finish|conclude) with\b", "must end with"),
    (r"^(?:kick (?:things |it |your response )?off|open(?: things| it| your response)?|lead off)"
     r"(?: with| by (?:writing|saying))", "start with"),
    (r"^(?:choose|pick|select)(?: exactly| only)?(?: one| 1)? of\b", "answer with 1 of"),
    (r"^sign off as\b", "end with"),
    (r"^(?:sign off|close(?: off)?|wrap up|round off|finish up|finish off)(?: things| it| your response)?"
     r"(?: with| by (?:writing|saying))", "end with"),
    (r"^(?:finish|end|conclude) your response with this exact (\w+):? \0\.?", 'end with the \\1 \0'),
    (r"\bfinal (line|sentence|paragraph|word|character|letter)\b", r"last \1"),
    (r"\bvery (first|last)\b", r"\1"),
    (r"\b1st\b", "first"), (r"\b2nd\b", "second"), (r"\b3rd\b", "third"), (r"\b4th\b", "fourth"),
    (r"\bmust (?:read|say|state)(?: exactly| just)? (?=\0)", "must be "),
    # letter case, JSON
    (rf"(?<!\buse )(?<!\bcontain )\bonly {_CASE}\b", r"all \1"),
    (rf"\b{_CASE}(?: letters)? only\b", r"all \1 letters"),
    (r"^your response must be (?:written )?(?=(?:all )?(?:lower|upper|capital(?!i)|caps))", f"write {_RESPONSE} in "),
    (r"^your response must be (?:entirely )?(?:written )?(?=in (?:all )?(?:lower|upper|capital|caps))",
        f"write {_RESPONSE} "),
    (r"^your response must be (?:wrapped|formatted|given|presented|written)? ?(?:in|as|inside) (?:an? )?(?:valid"
     r" )?json(?: format)?",
     "write json"),
    (r"^(?:write|put|spell|keep|make) (?:each|every|all)(?: the)? (?:words?|letters?)(?= (?:in )?(?:all"
     r" )?(?:lower|upper|capital|caps))",
        f"write {_RESPONSE}"),
    (r"^your json(?: object| output| response)? must (?:include|contain|have)\b", "write a json object with"),
    (r"^(?:return|output|give|format|present) the (?:results?|data|information) (?=(?:as|in) )", "write "),
    (r"^(?:all|only) (?=(?:lower|upper|caps|capital letters))", "write in all "),
    (r"^(?:return|output|give|format) your response as\b|^return\b", "write"),
    (r"^(?:each|every|all)(?: the)? (?:words?|letters?) must be (?:written )?(?:in )?(?=(?:all )?(?:lower|upper"
     r"|capital|caps)(?!i))",
     f"write {_RESPONSE} in "),
    (r"^(?:do not|don't|never) capitali[sz]e (?:anything|any (?:letters?|words?))", f"write {_RESPONSE} in lower case"),
    (r"\b(the first (?:letter|character)(?: of [\w ]{1,30})?) (?:is|must be) (?:capitali[sz]ed|(?:in )?upper[-"
     r" ]?case)\b",
     r"\1 must be a capital letter"),
    (r"^(?:put|place|include|write|use) ([^,;.]{1,20}) between (?:the |your |all )?(?:two )?(paragraphs|sections"
     r"|parts)(?: of your response)?(?=[.!]?$)",
     r"separate the \2 with \1"),
    (r"^(?:use|include|put) (?:some )?(?:text|something) in (?:parentheses|round brackets)(?=[.!]?$)",
     "use at least 1 pairs of parentheses"),
    # things
    (r"^(?:make|put|set|write|use) (.{1,30}?\b)(words?|phrases?|terms?|sections?) (?:in )?(bold|italics|italic)"
     r"(?: (?:type|text|font))?(?:,? (?:using|with|in) (?:double asterisks|asterisks|two asterisks|markdown))?(?=\W*$)",
     r"use \1\2 in \3"),
    (r"^(?:use markdown to )?(?:bold|embolden) (.{1,30}?\b)(words?|phrases?|terms?|sections?)"
     r"(?:,? (?:using|with|in) (?:double asterisks|asterisks|two asterisks|markdown))?(?=\W*$)", r"use \1\2 in bold"),
    (r"^(?:use markdown to )?itali[cs]i[sz]e (.{1,30}?\b)(words?|phrases?|terms?|sections?)"
     r"(?:,? (?:using|with|in) (?:single asterisks|asterisks|an asterisk|markdown))?(?=\W*$)",
     r"use \1\2 in italics"),
    (r"^make (the (?:first|last|second|third) (?:line|sentence|paragraph)) (?=(?:an? single|exactly|at)\b)",
     r"\1 must be "),
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
"""Characters. Longer instructions are not reworded."""


def put_plainly(instruction: str) -> str:
    """Return an instruction in plainer words, without examples of a form at its end."""
    marked = "*" in instruction or "markdown" in instruction.lower()
    if len(instruction) > _LONGEST or ("highlight" in instruction.lower() and not marked):
        return instruction
    words = _ASIDE.sub("", cut_example(" ".join(instruction.split()))[0])
    for form, plain in _RAW_FORMS:
        words = form.sub(plain, words)
    words = _LISTED.sub(_quote_each, words)
    frame, texts = cut_quoted(words)
    if any('"' in text for text in texts):
        return words
    frame = re.sub(r"\bshould\b", "must", frame, flags=re.IGNORECASE)
    for form, plain in _FRAME_FORMS:
        frame = _TOLD.sub(_tell_to, form.sub(plain, frame).strip())
    if frame.count("\0") != len(texts):
        return words
    named = iter(texts)
    return re.sub("\0", lambda _: f'"{next(named)}"', frame)


def _quote_each(match: re.Match[str]) -> str:
    """Put quotation marks around each word of a list."""
    return match["said"] + re.sub(r"(?!(?:and|or)\b)(?<![\w'-])[\w'-]+", r'"\g<0>"', match["items"])


def _tell_to(match: re.Match[str]) -> str:
    """Turn "each line is" into "each line must be"."""
    verb = match[2].lower()
    return f"{match[1]} must {_BASE.get(verb, verb.removesuffix('s'))}"


def cut_example(instruction: str) -> tuple[str, str]:
    """Return an instruction without the example of a form at its end, and the example; "" if there is none."""
    if (match := _EXAMPLE.search(instruction)) and _SIGN.search(instruction, match.end()):
        return instruction[: match.start()], instruction[match.end() :].strip(" :.,)")
    return instruction, ""
