"""Writes a llama of two small layers with random weights: `python -m windows.tiny_gguf FILE`, with the interpreter of
peers-llama. Each printable character is a token, so that what it says is read back as the tokens that it was."""

# mypy: disable-error-code="import-not-found"
# gguf is in a venv of its own (see peers.py), where mypy may not be looking.

import sys

import gguf
import numpy

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 64, 2, 4, 128, 4096
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def write(file: str) -> None:
    chance = numpy.random.default_rng(0)
    tokens, types = _vocabulary()
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)
    for name, shape in _shapes(len(tokens)):
        weights = chance.standard_normal(shape, dtype=numpy.float32) * 0.1
        if name.endswith("norm.weight"):
            weights = numpy.ones(shape, dtype=numpy.float32)
        if name == "output.weight":
            weights[[n for n, token in enumerate(tokens) if not token.isalpha()]] = 0.0  # it says letters
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _vocabulary() -> tuple[list[str], list[int]]:
    kinds = gguf.TokenType
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256]
    letters = ["\u2581", *(chr(code) for code in range(33, 127))]  # the first is the space
    return tokens + letters, [int(kind) for kind in types] + [int(kinds.NORMAL)] * len(letters)


def _shapes(words: int) -> list[tuple[str, tuple[int, ...]]]:
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (words, WIDTH)),
        ("output_norm.weight", (WIDTH,)),
        ("output.weight", (words, WIDTH)),
    ]
    for layer in range(LAYERS):
        shapes += [
            (f"blk.{layer}.attn_norm.weight", (WIDTH,)),
            *((f"blk.{layer}.attn_{part}.weight", (WIDTH, WIDTH)) for part in ("q", "k", "v", "output")),
            (f"blk.{layer}.ffn_norm.weight", (WIDTH,)),
            (f"blk.{layer}.ffn_gate.weight", (INNER, WIDTH)),
            (f"blk.{layer}.ffn_up.weight", (INNER, WIDTH)),
            (f"blk.{layer}.ffn_down.weight", (WIDTH, INNER)),
        ]
    return shapes


if __name__ == "__main__":
    write(sys.argv[1])
