"""What a server's complaint is about, by its words in any language: money, load, the key, this one prompt.

The status alone doesn't tell: gateways pass on as 400, 403, 500 or even 200 what their provider says as 429 or 402.
"""

import re
from enum import StrEnum

from autoif.models.dialect import is_too_long


class ComplaintKind(StrEnum):
    """What a complaint is about."""

    MONEY = "money"
    """The account has no credit: nothing works until somebody pays."""
    BUSY = "busy"
    """Too many requests; later ones will be taken."""
    EXHAUSTED = "exhausted"
    """The quota of the day is spent."""
    BROKEN = "broken"
    """What happened to the request on its way; another try may succeed."""
    LOADING = "loading"
    """The server is still reading its model."""
    CONTENT = "content"
    """What this one prompt is about."""
    KEY = "key"
    """The key, whatever the prompt."""
    LENGTH = "length"
    """How long this one prompt is."""
    OTHER = "other"


_URL = re.compile(r"https?://\S+")
"""Where a complaint sends people, as to …/settings/billing, says nothing of what it is about."""
_MONEY = re.compile(
    r"insufficient[_ ](?:quota|balance|funds|credits?)|credit balance|out of (?:credits?|funds|money)|billing"
    r"|payment required|(?:add|buy|purchase) (?:more )?credits? to (?:continue|access)|overdue|arrear(?:s|age)"
    r"|recharge|top up|spending limit|used all available credits|account is in good standing"
    r"|(?:balance|credits?|funds) (?:is|are|has been|have been) (?:insufficient|too low|exhausted|used up)"
    r"|not[_ ]enough[_ ](?:balance|credits?|funds)|ha(?:ve|s) (?:no|any) (?:balance|credits?|funds)"
    r"|no (?:balance|credits?|funds) (?:left|remain|available)|account balance|included credits"
    r"|payment method|free (?:tier|trial|quota).{0,60}(?:exhaust|ended|expired|used up)"
    r"|subscription (?:has |is )?(?:expired|ended|inactive)|ExceededBudget|budget (?:has been |is )?exceeded"
    r"|exceeded (?:your|their|its|the) budget|余额|欠费|账户.{0,4}不足|额度.{0,6}(?:不足|用尽|耗尽|失败)",
    re.IGNORECASE,
)
_EXHAUSTED = re.compile(
    r"(?:per|this)[- _]?(?:day|week|month)\b|(?-i:Per(?:Day|Week|Month))|\b(?:daily|weekly|monthly)\b"
    r"|每日|当日|今日|每月|本月",
    re.IGNORECASE,
)
_LOADING = re.compile(r"\bloading\b|warming up|starting up|is not ready|currently loading|cold start", re.IGNORECASE)
_CONTENT = re.compile(
    r"content[_ ]?(?:filter|policy|management)|moderation|flagged|responsibleai|\bsafety\b|\bblocked\b"
    r"|safety_check|violates? (?:our|the|its) |sensitive[_ ](?:content|information|words?)"
    r"|usage (?:polic|guideline)"
    r"|data_inspection|(?:input|output) (?:new_)?sensitive|inappropriate|prohibited|guardrail"
    r"|content exists risk|high[- ]risk|legal reasons|不安全|敏感|违规",
    re.IGNORECASE,
)
_HOURLY = re.compile(r"\b(?:per|this)[- _]?hour\b|\bhourly\b|每小时", re.IGNORECASE)
_THROTTLED = re.compile(
    r"throttl|too many (?:concurrent )?requests|too many tokens,|rate[ _-]?limit(?:ed|[ _-](?:exceeded|reached))"
    r"|RESOURCE_EXHAUSTED|overloaded|over capacity|capacity exceeded|concurrency limit|exceeded .{0,60}rate limit"
    r"|(?:request|token|qps)s?_limit_exceeded|频繁|限流|并发数?.{0,4}(?:过|超)|负载|繁忙|过载|请稍[后候]",
    re.IGNORECASE,
)
"""Whatever the status: gateways pass on what their provider says of its load as 400, 403 or 500."""
_DOWN = re.compile(r"model.{0,40}(?:crashed|unloaded|is not loaded|is cold)|temporarily unavailable", re.IGNORECASE)
_BROKEN = re.compile(
    r"\btimed? ?-?out\b|deadline exceeded|connection (?:error|reset|refused|termination|closed)|APIConnectionError"
    r"|upstream connect|bad gateway|out of memory|(?:was|been) (?:aborted|cancell?ed)",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"api[ _-]?key(?: is| has| was)? ?(?:not valid|invalid|expired|revoked|disabled|missing|not found)"
    r"|api[ _-]?key (?:has |was |is )?(?:been )?(?:blocked|suspended|deactivated)|API_KEY_INVALID"
    r"|(?:invalid|incorrect|expired|missing|wrong) ?api[ _-]?key|UNAUTHENTICATED|authentication (?:failed|error|fails)"
    r"|(?:invalid|expired) (?:access|bearer|auth\w*) token|access token (?:is )?(?:invalid|expired)|login fail",
    re.IGNORECASE,
)
_OF_THE_REQUEST = re.compile(
    r"invalid[_ ](?:request|param|value|argument)|unsupported|not support|bad ?request|validation|unprocessable"
    r"|参数",
    re.IGNORECASE,
)
_HIDDEN = re.compile(
    r"jinja|role not supported|roles must alternate|BadRequestError|UnsupportedParams|invalid_request_error"
    r"|input validation error",
    re.IGNORECASE,
)
_NO_SUCH_PAGE = re.compile(
    r"unexpected endpoint|(?:no such|unknown|invalid) (?:page|endpoint|route|url|path)|^\W*not found\W*(?:\Z|·)",
    re.IGNORECASE,
)
_STATUSES = {ComplaintKind.MONEY: 402, ComplaintKind.BUSY: 429, ComplaintKind.KEY: 401}


def find_kind(words: str, status: int, *, says_when: bool = False) -> ComplaintKind:
    """Return what a complaint with this status is about; `says_when` if it asks to wait for so long."""
    words = _URL.sub(" ", words)
    if is_too_long(words):
        return ComplaintKind.LENGTH
    if status == 402:
        return ComplaintKind.MONEY
    if status == 429:
        # "You exceeded your current quota" is a minute's limit where it says when to come back.
        if not says_when and _MONEY.search(words):
            return ComplaintKind.MONEY
        exhausted = _EXHAUSTED.search(words) or (not says_when and _HOURLY.search(words))
        return ComplaintKind.EXHAUSTED if exhausted and "minute" not in words.lower() else ComplaintKind.BUSY
    if status < 500 and _MONEY.search(words):
        return ComplaintKind.MONEY
    if status == 503 and _LOADING.search(words):
        return ComplaintKind.LOADING
    if status < 500 and _KEY.search(words):
        return ComplaintKind.KEY
    if status < 500 and _CONTENT.search(words):
        return ComplaintKind.CONTENT
    if status != 401 and (_THROTTLED.search(words) or (status < 500 and _DOWN.search(words))):
        return ComplaintKind.BUSY
    if status < 500 and status != 401 and _BROKEN.search(words):
        return ComplaintKind.BROKEN
    return ComplaintKind.OTHER


def guess_status(words: str) -> int:
    """Return the status that an error should have come with which came with 200; 0 where it says too little."""
    kind = find_kind(words, 400)
    if kind == ComplaintKind.OTHER:
        if _EXHAUSTED.search(words):
            return 429
        return 404 if _NO_SUCH_PAGE.search(words) else 400 if _OF_THE_REQUEST.search(words) else 0
    return _STATUSES.get(kind, 400)


def is_about_request(words: str) -> bool:
    """Tell whether a status of 500 hides that it is the request that is refused, as of a chat template that raises."""
    return _HIDDEN.search(words) is not None
