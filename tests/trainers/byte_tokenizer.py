"""A tokenizer of bytes with a chat template, as the folder of a model: it gives every text back as it was."""

from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>\n{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)


def write_byte_tokenizer(folder: Path) -> Path:
    from transformers import ByT5Tokenizer, LlamaConfig

    tokenizer = ByT5Tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    LlamaConfig().save_pretrained(folder)  # some ask what model it is of
    return folder
