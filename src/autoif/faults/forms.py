"""Forms that an instruction asks a text to have, each with texts that have it and texts that don't.

A form is read if its phrase is found and the words around it add nothing (wording.py). This module is a table of
phrases and the makers of their texts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from autoif.faults import form_texts, word_forms
from autoif.faults.counts import put_digits
from autoif.faults.fixed_forms import FIXED_FORMS
from autoif.faults.form_texts import LANGUAGES, Maker, Pair, make_fixed
from autoif.faults.kinds import CHARACTER_FORMS
from autoif.faults.wording import ANSWER, LEAD, MUST, NOT, cut_quoted, is_plain
from autoif.vocabulary import get_sentences

_LONGEST_INSTRUCTION: Final = 1000
"""In characters."""
_AROUND: Final = re.compile(
    r"\b(?:entirely|completely|wrap(?:ped)?|enclosed?|surround|inside|between|separate|list|mark|show|mention|state|specify|indicate"
    r"|present|format)\b",
    re.IGNORECASE,
)
"""Words around a phrase that add nothing to it."""
_ADDED: Final = re.compile(r"\0|\b(?:at least|up to|limit(?:ed)? to)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """The pairs of texts for a form, and its check if there is one."""

    pairs: tuple[Pair, ...]
    check: Callable[[str], bool | None] | None = None


def read_form(instruction: str) -> Form | None:
    """Return the form that an instruction plainly asks for; None if it asks for none, or for more."""
    if len(instruction) > _LONGEST_INSTRUCTION:
        return None
    frame, texts = cut_quoted(instruction)
    words = put_digits(frame)
    for phrase, make in _FORMS:
        match = phrase.search(words)
        if match and _adds_nothing(f"{words[: match.start()]} {words[match.end() :]}"):
            pairs = tuple(make(match, texts))
            return Form(pairs, _CHECKS.get(make)) if pairs else None
    return None


def _adds_nothing(rest: str) -> bool:
    """Tell whether the words around a phrase add nothing to it, such as a named text or a limit."""
    return not _ADDED.search(rest) and is_plain(_AROUND.sub(" ", rest))


def _starts_with_question(text: str) -> bool | None:
    first = next(iter(get_sentences(text)), "")
    return first.endswith("?") if first else None


_CHECKS: Final[dict[Maker, Callable[[str], bool | None]]] = {form_texts.make_question: _starts_with_question}
_THE_KEYS: Final = (
    r"(?: (?:that has|that contains|with|having|containing))?(?P<alone> exactly| only)?(?: the)?"
    r"(?: following)?(?: two| three| 2| 3)? keys?:? \0(?:(?:,? and|,) \0)*"
)
_FORMS: list[tuple[re.Pattern[str], Maker]] = [
    (re.compile(phrase, re.IGNORECASE), make)
    for phrase, make in (
        (r"\btitle,? (?:that is |which is )?(?:wrapped |enclosed |surrounded )?(?:in|by|with|inside|within)"
         r" (?:double ang(?:ular|le) brackets|<< ?>>|<< and >>)(?: at the (?:top|start|beginning))?",
         form_texts.make_title),
        (r"(?:at the end(?: of your response)?,? )?(?:please )?(?:add|include|write|put|append) a (?:postscript|p\.s\.)"
         r"(?: (?:starting|beginning|that starts|that begins) with (?P<mark>P\.S\.|P\.P\.S\.?)?)?(?: at the end)?",
         form_texts.make_postscript),
        (r"\b(?P<n>\d+) sections?[.,;] (?:please )?(?:mark|begin|start|label) (?:the beginning of )?each(?: section)?"
         r" with (?P<name>\w+) x\b", form_texts.make_sections),
        (r"\b(?P<n>\d+) (?:different )?(?:parts|sections|paragraphs|responses|answers|stanzas|versions)\b"
         r"(?P<between>[^*#=~\0-]{0,160})(?:\(?(?P<mark>\*{3,}|-{3,}|#{3,}|={3,}|~{3,})\)?|\0)",
         form_texts.make_divided),
        (r"^there (?:should|must) be (?P<n>\d+) paragraphs\. paragraphs and only paragraphs are separated [^.]{0,120}\."
         r" paragraph (?P<place>\d+) must start with (?:the )?(?:word )?(?P<word>\w+)\.?$", form_texts.make_first_word),
        (r"^(?:answer|respond|reply)(?:(?: only)? with (?:exactly |only )?1 of (?:the following|these)"
         r"(?: (?:options|phrases|answers|sentences))?:? ?\(?\0(?:,? (?:or |and )?\0)+\)?"
         r"|(?: only)?(?: with)?(?: either| only)? \0(?: or \0)+)(?: only)?", form_texts.make_options),
        (rf"\bjson object{_THE_KEYS}", form_texts.make_object),
        (r"\bjson (?:array|list)(?: of| with| holding| containing| that holds)(?: (?P<bound>at least|exactly))?"
         r"(?: (?P<n>\d+))? strings?\b", form_texts.make_array),
        (rf"\b(?:in|using) (?:the )?(?P<language>{'|'.join(LANGUAGES)})(?: language)?(?: only)?(?: characters)?(?:"
         r" only)?(?! format)(?:, without any latin letters)?", form_texts.make_language),
        (r"\b(?:an? )?(?:markdown )?table (?:with|of|that has) (?:exactly )?(?P<n>\d+) columns?",
         form_texts.make_table),
        (r"\bdate (?:written )?(?:in|of|with|using) (?:the )?(?:(?:format|form) )?"
         r"(?P<form>[YMD]{2,4}[-/.][YMD]{2,4}[-/.][YMD]{2,4})(?: format| form)?\b",
         form_texts.make_date),
        (r"(?:items |lines |entries )?in alphabetical order,? (?:with )?(?:1|one|each)(?: item| entry)? (?:per|on"
         r" its own|on a separate|to a) line",
         form_texts.make_sorted_lines),
        (r"\bwords (?:of your response )?(?:must be |appear )?in alphabetical order", form_texts.make_sorted_words),
        (rf"^{LEAD}(?:{NOT} (?:repeat|reuse) (?:(?:any|a) )?words?|no word (?:may|must|can) (?:appear|be used|occur|be"
         rf" repeated)(?: 2 times| more than 1 times| again)?|{NOT} use (?:the same|any) word(?: 2 times| again| more"
         r" than 1 times)|(?:each|every) word must be (?:different|unique(?! to)))",
         form_texts.make_unlike_words),
        (r"(?:\bno word (?:in your response )?(?:may|must|can) (?:be longer than|have more than|exceed)"
         rf"|\b(?:every word|each word|all words) must (?:have|be) (?:at most|no more than)"
         rf"|^{LEAD}(?:{NOT} use|avoid(?: using)?) (?:any )?words? (?:(?:of |with |that have )?more than"
         r"|(?:that are )?longer than)|^(?:use only|only use) words (?:of|with|that have)"
         r" (?:at most|no more than|up to|(?P<fewer>(?:fewer|less) than)))"
         r" (?P<n>\d+) (?:letters|characters)(?: long)?", form_texts.make_short_words),
        (r"^(?:use|write|include) no words? (?:(?:that (?:is|are) )?longer than|(?:of|with|that has) more than)"
         r" (?P<n>\d+) (?:letters|characters)", form_texts.make_short_words),
        (rf"^{LEAD}(?:use|include|mention)(?: all(?: of)?)?(?: the| these)?(?: following)?(?: \w+)?:?"
         r" \0(?:(?:,? and|,) \0)+,? in (?:exactly )?(?:that|this|the given|the same) (?:exact )?order",
         word_forms.make_ordered),
        (r"(?:the )?(?:first|initial) letters? of (?:the|your|all|each|every)(?: of the)? (?P<unit>line|sentence)s?"
         r"(?: of your response)? must spell(?: out)?(?: the word)? (?:\0|(?P<word>(?-i:[A-Z]{3,12})))",
         word_forms.make_acrostic),
        (r"\b(?:use|write|include) (?:at least|(?P<more>more than)) (?P<n>\d+) (?:different|distinct|unique) words",
         word_forms.make_different_words),
        (r"\b(?:an? |at least 1 )?(?P<language>python|javascript|java|sql|html|bash|json|yaml|css|ruby|rust|go)"
         r" code block",
         word_forms.make_code_of),
        (rf"^{LEAD}(?:end|finish|conclude)(?: {ANSWER})? with (?:exactly |at least |a(?= ))?(?P<n>\d+)? ?hash ?tags?",
         word_forms.make_last_hashtags),
        (r"\bat least 1 word (?:with|of|that has|having|that is) (?:at least |(?P<more>(?:more|longer) than ))?"
         r"(?P<n>\d+)(?: or more)? (?:letters|characters)", form_texts.make_long_word),
        (r"\b(?:every|each|all) words? must (?:start|begin) with (?:the same letter|(?:the )?(?:letter )?\0)",
         form_texts.make_alliteration),
        (r"\ba palindrome (?:of|with|that has) (?:at least )?(?P<n>\d+)(?: or more)? letters",
         form_texts.make_palindrome),
        (r"\bcapitali[sz]e (?:the first letter of )?(?:every|each) word|\b(?:every|each) word must (?:start|begin)"
         r" with a capital(?: letter)?|\b(?:every|each) word must be capitali[sz]ed"
         r"|\b(?:(?:every|each) word )?(?:in|use) title case", form_texts.make_title_case),
        (r"\b(?:total )?(?:number of words|word count)(?: of your response)? must be (?:a )?(?P<kind>multiple of"
         r"|divisible by|even|odd)(?: (?P<n>\d+))?", form_texts.make_multiple),
        (r"\ban (?P<kind>even|odd) number of words",
         form_texts.make_multiple),
        (r"\b(?:(?P<n>\d+) )?lines (?:with|of|that have) (?P<a>\d+), (?P<b>\d+),? and (?P<c>\d+) words(?:,?"
         r" respectively)?",
         form_texts.make_line_lengths),
        (r"(?:tags )?(?P<open><\w{1,20}>)(?: and |\.\.\.|…| ?)(?P<close></\w{1,20}>)(?: tags)?",
         form_texts.make_tagged),
        (rf"(?:steps?|parts?|sections?|points?)(?: of your response)? {MUST} be (?:labell?ed|called|marked"
         rf"|titled)(?: as)? \0(?:(?:,? and|,) \0)+",
         form_texts.make_labels),
        (r"^(?:please )?label the (?:steps?|parts?|sections?|points?)(?: of your response)?(?: as| with)?"
         r" \0(?:(?:,? and|,) \0)+", form_texts.make_labels),
        (r"\b(?:bulleted|bullet) list in which (?:each|every) (?:item|point|line) (?:starts|begins) with \0",
         form_texts.make_signed_list),
        (rf"^(?:use|include|mention|contain|{ANSWER} {MUST} (?:use|include|mention|contain|have)) either(?: the)?"
         r"(?: \w+)? \0 or \0(?: somewhere)?(?: in your response)?", form_texts.make_either),
        (r"^(?:write|use|give)(?: exactly)? (?P<n>\d+) paragraphs,? with (?:1|a) (?:blank|empty) line between them",
         form_texts.make_paragraphs),
        (r"^(?:separate|divide) (?:(?:the|your|all)(?: \d+)? |each )?(?:parts?|sections?|paragraphs?)(?: of your"
         r" response)? (?:with|by|using)(?P<line> a line (?:that (?:consists of|is|holds only)|of))? (?:(?P<n>\d+)"
         r" (?P<sign>hyphens|dashes|asterisks|equals signs)|(?P<mark>\*{3,}|-{3,}|={3,}|~{3,}|#{3,})"
         r"|\0)(?=[.!]?$)", form_texts.make_ruled),
        (rf"^{LEAD}(?:(?:start|begin)(?: {ANSWER})? with|(?:make )?(?:the|your) first sentence(?: (?:of|in)"
         rf" {ANSWER})?(?: {MUST} be)?) a question(?! mark)",
         form_texts.make_question),
        (rf"(?:(?:start|begin) and end (?:{ANSWER} )?with the same word|the first and (?:the )?last words?(?: (?:of|in)"
         rf" {ANSWER})? {MUST} be the same(?: word)?)", form_texts.make_same_ends),
    )
]  # fmt: skip
for form in FIXED_FORMS:
    fixed = make_fixed(form.obeying, form.breaking, form.right, form.wrong)
    _FORMS.append((re.compile(form.phrase, re.IGNORECASE), fixed))
    if form.check:
        _CHECKS[fixed] = form.check
_FORMS += [(re.compile(phrase, re.IGNORECASE), make) for phrase, make in CHARACTER_FORMS]
