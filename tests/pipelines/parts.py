"""Text encoders and tokenizers that the small pipelines share."""

import torch

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,"


def disturbed(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def t5_tokenizer(length=24):
    from transformers import T5Tokenizer

    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    vocab += [(letter, -3.0) for letter in LETTERS]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=length)


def t5_encoder(kind, vocab_size, width=16):
    import transformers

    config = {"umt5": transformers.UMT5Config, "t5": transformers.T5Config}[kind]
    model = {"umt5": transformers.UMT5EncoderModel, "t5": transformers.T5EncoderModel}
    return model[kind](
        config(
            vocab_size=vocab_size,
            d_model=width,
            d_kv=8,
            d_ff=16,
            num_layers=1,
            num_heads=2,
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
        )
    ).eval()


def word_tokenizer(texts, length, chat=None):
    """A tokenizer with a word for every word of some texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()]
    )
    words = [w for text in texts for w, _ in split.pre_tokenize_str(text)]
    words += ["a", "cat", "dog", "walking", "red", "blue", "circle", "moving"]
    known = {word: place for place, word in enumerate(dict.fromkeys(words), start=3)}
    known |= {"<pad>": 0, "</s>": 1, "<unk>": 2}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=length,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        padding_side="right",
    )
    made.chat_template = chat
    return made
