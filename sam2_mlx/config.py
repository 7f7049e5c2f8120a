"""Model configurations: frozen records, and the one table of published models.

Every dimension of the network comes from here; a fine-tune, another image size or another
width is only another `ModelConfig`. Nothing here imports MLX.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True)
class HieraConfig:
    """Dimensions of the Hiera image encoder.

    Attributes:
        embed_dim: channels of the first stage; doubled at every later stage.
        num_heads: attention heads of the first stage; doubled at every later stage.
        stages: transformer blocks per stage.
        global_blocks: indices (counted over all stages) of the blocks without windows.
        window_sizes: attention window of each stage, in tokens of that stage.
        background_size: grid (h, w) of the learned position embedding before resizing.
    """

    embed_dim: int = 96
    num_heads: int = 1
    stages: tuple[int, ...] = (1, 2, 7, 2)
    global_blocks: tuple[int, ...] = (5, 7, 9)
    window_sizes: tuple[int, ...] = (8, 4, 14, 7)
    background_size: tuple[int, int] = (7, 7)

    @property
    def stage_starts(self) -> tuple[int, ...]:
        """Index of each stage's first block; every one but the first pools its queries."""
        return tuple(sum(self.stages[:i]) for i in range(len(self.stages)))

    @property
    def stage_dims(self) -> tuple[int, ...]:
        """Channels of each stage, finest first."""
        return tuple(self.embed_dim * 2**i for i in range(len(self.stages)))


@dataclass(frozen=True)
class ViTConfig:
    """Dimensions of the plain vision transformer of the first Segment Anything.

    Attributes:
        embed_dim: channels.
        depth: transformer blocks.
        num_heads: attention heads.
        global_blocks: indices of the blocks without windows.
        window_size: side of the attention window in tokens.
        grid: side of the token grid that the weights were trained at.
    """

    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    window_size: int = 14
    grid: int = 64


@dataclass(frozen=True)
class TinyViTConfig:
    """Dimensions of the TinyViT image encoder.

    Attributes:
        stage_dims: channels of each stage.
        stages: blocks per stage; those of the first are convolutions.
        num_heads: attention heads of each stage.
        window_sizes: attention window of each stage, in tokens.
    """

    stage_dims: tuple[int, ...] = (64, 128, 160, 320)
    stages: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (2, 4, 5, 10)
    window_sizes: tuple[int, ...] = (7, 7, 14, 7)


@dataclass(frozen=True)
class RepViTConfig:
    """Dimensions of the RepViT image encoder.

    Attributes:
        stage_dims: channels of each stage, finest first.
        stages: blocks per stage, beside those in the steps between stages.
        expansion: hidden width of the pointwise MLPs over their channels.
        squeeze_dims: hidden width of the weighting of channels, of each stage.
    """

    stage_dims: tuple[int, ...] = (48, 96, 192, 384)
    stages: tuple[int, ...] = (2, 2, 14, 2)
    expansion: int = 2
    squeeze_dims: tuple[int, ...] = (16, 24, 48, 96)


EncoderConfig = HieraConfig | ViTConfig | TinyViTConfig | RepViTConfig
ENCODERS: dict[str, type[EncoderConfig]] = {
    "hiera": HieraConfig,
    "vit": ViTConfig,
    "tiny_vit": TinyViTConfig,
    "repvit": RepViTConfig,
}


@dataclass(frozen=True)
class DecoderConfig:
    """Dimensions of the two-way transformer and the mask decoder.

    Attributes:
        num_layers: two-way blocks.
        num_heads: attention heads.
        mlp_dim: hidden width of the token MLP.
        iou_hidden_dim: hidden width of the IoU head.
        num_multimasks: masks offered for an ambiguous prompt, beside the single mask.
        stability_delta: logit offset of the stability score.
        stability_threshold: below it a single mask gives way to the best of the multimasks;
            zero keeps the single mask always.
        fine_features: the upscaling adds the encoder's features at stride 4 and 8.
        predicts_presence: a token of its own says whether the object is there; else it always is.
        bounded_iou: the predicted IoU passes through a sigmoid.
        logit_limit: low-resolution logits that are handed out are cut at plus and minus this;
            None leaves them.
    """

    num_layers: int = 2
    num_heads: int = 8
    mlp_dim: int = 2048
    iou_hidden_dim: int = 256
    num_multimasks: int = 3
    stability_delta: float = 0.05
    stability_threshold: float = 0.98
    fine_features: bool = True
    predicts_presence: bool = True
    bounded_iou: bool = True
    logit_limit: float | None = 32.0


@dataclass(frozen=True)
class PerceiverConfig:
    """Dimensions of the perceiver that compresses a frame's memory.

    Attributes:
        latents: tokens that see the whole frame and have no place in it.
        side: of the square grid of further tokens, which see a window of the frame each.
        num_layers: layers.
        expansion: hidden width of the MLPs over their channels.
    """

    latents: int = 256
    side: int = 16
    num_layers: int = 2
    expansion: int = 4


@dataclass(frozen=True)
class MemoryConfig:
    """Dimensions and behaviour of the memory.

    Attributes:
        dim: channels of a memory token.
        num_frames: spatial memories a frame attends to (the prompted one included).
        num_layers: memory-attention layers.
        num_heads: heads of the memory attention.
        feedforward_dim: hidden width of a memory-attention layer's MLP.
        rope_theta: base of the axial rotary frequencies.
        max_pointers: object pointers a frame attends to, counted in frames.
        fuser_layers: ConvNeXt blocks of the memory encoder.
        absent_embedding: add a learned embedding to the memory of a frame without the object.
        pointer_time: pointers carry a projected temporal encoding (signed distance).
        perceiver: compresses a frame's memory; None keeps a token for each place.
    """

    dim: int = 64
    num_frames: int = 7
    num_layers: int = 4
    num_heads: int = 1
    feedforward_dim: int = 2048
    rope_theta: float = 10000.0
    max_pointers: int = 16
    fuser_layers: int = 2
    absent_embedding: bool = True
    pointer_time: bool = True
    perceiver: PerceiverConfig | None = None


@dataclass(frozen=True)
class ModelConfig:
    """A whole model.

    Attributes:
        name: short name, for messages.
        image_size: side of the square model input, in pixels; a multiple of 32.
        hidden_dim: channels of the image embedding, prompts and pointers.
        encoder: the image encoder.
        decoder: the mask decoder.
        memory: the memory, or None for a model that only does single images.
        keep_aspect: pictures keep their proportions and are padded; else they are stretched.
        pad_boxes: the padding token that closes a prompt of points follows a box too.
    """

    name: str = "tiny"
    image_size: int = 1024
    hidden_dim: int = 256
    encoder: EncoderConfig = field(default_factory=HieraConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    memory: MemoryConfig | None = field(default_factory=MemoryConfig)
    keep_aspect: bool = False
    pad_boxes: bool = True

    def __post_init__(self) -> None:
        if self.image_size < 32 or self.image_size % 32:
            raise ValueError(
                f"image_size must be a positive multiple of 32; got {self.image_size}. "
                "Published models use 1024; 512 is about four times as fast."
            )

    @property
    def grid(self) -> int:
        """Side of the coarse feature grid (stride 16)."""
        return self.image_size // 16

    @property
    def mask_size(self) -> int:
        """Side of the low-resolution mask logits (stride 4)."""
        return self.image_size // 4

    @property
    def memory_side(self) -> int:
        """Side of the grid of tokens that a remembered frame leaves for memory attention."""
        perceiver = self.memory.perceiver if self.memory else None
        return perceiver.side if perceiver else self.grid

    @property
    def memory_tokens(self) -> int:
        """All tokens that a remembered frame leaves: some without a place, then its grid."""
        perceiver = self.memory.perceiver if self.memory else None
        return (perceiver.latents if perceiver else 0) + self.memory_side**2

    @property
    def follows(self) -> bool:
        """Whether it follows objects at this image size."""
        return self.memory is not None and self.grid % self.memory_side == 0

    def require_memory(self) -> MemoryConfig:
        """The memory, of a model that is to follow objects.

        Raises:
            ValueError: if it cannot.
        """
        if self.memory is None:
            raise ValueError(
                f"{self.name} has no memory and only does single images; "
                "load a SAM 2 model to follow objects in a video"
            )
        if not self.follows:
            step = 16 * self.memory_side
            sizes = ", ".join(str(step * number) for number in range(1, 5))
            raise ValueError(
                f"{self.name} follows objects at image sizes that are multiples of {step} "
                f"({sizes}); got {self.image_size}, which is for single pictures only"
            )
        return self.memory

    def with_image_size(self, image_size: int | None) -> ModelConfig:
        """The same model at another input size; None keeps the present one."""
        return self if image_size is None else replace(self, image_size=image_size)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.json."""
        values = asdict(self)
        if self.memory and self.memory.perceiver is None:
            del values["memory"]["perceiver"]  # as in folders and sessions without the word
        kind = next(name for name, each in ENCODERS.items() if isinstance(self.encoder, each))
        if kind != "hiera":
            values["encoder"] = {"kind": kind, **values["encoder"]}
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Rebuild from `to_dict`'s values (lists for tuples are fine).

        Raises:
            ValueError: on an unknown key or a value of the wrong kind.
        """
        values = dict(values)
        encoder = values.get("encoder")
        kind: Any = HieraConfig
        if isinstance(encoder, dict):
            encoder = dict(encoder)
            name = encoder.pop("kind", "hiera")
            if name not in ENCODERS:
                raise ValueError(f"encoder kind is {', '.join(ENCODERS)}; got {name!r}")
            kind, values["encoder"] = ENCODERS[name], encoder
        parts = {"encoder": kind, "decoder": DecoderConfig, "memory": MemoryConfig}
        return _build(cls, values, parts)


def _build(kind: Any, values: dict[str, Any], parts: dict[str, Any]) -> Any:
    for key, part in parts.items():
        if isinstance(values.get(key), dict):
            values = {**values, key: _build(part, values[key], {"perceiver": PerceiverConfig})}
    keys = {f.name for f in fields(kind)}
    unknown = sorted(set(values) - keys)
    if unknown:
        raise ValueError(
            f"unknown {kind.__name__} key {unknown[0]!r}; known keys: {', '.join(sorted(keys))}"
        )
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


_TINY = HieraConfig()
_SMALL = HieraConfig(stages=(1, 2, 11, 2), global_blocks=(7, 10, 13))
_BASE_PLUS = HieraConfig(112, 2, (2, 3, 16, 3), (12, 16, 20), (8, 4, 14, 7), (14, 14))
_LARGE = HieraConfig(144, 2, (2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8), (7, 7))
_NANO = HieraConfig(32, 1, (1, 2, 3, 1), (4, 5), (8, 4, 8, 8), (7, 7))
_FIRST_DECODER = DecoderConfig(
    stability_threshold=0.0,
    fine_features=False,
    predicts_presence=False,
    bounded_iou=False,
    logit_limit=None,
)
_MEMORY_2_0 = MemoryConfig(absent_embedding=False, pointer_time=False)
_EDGE_MEMORY = replace(_MEMORY_2_0, num_layers=2, perceiver=PerceiverConfig())


def _first(name: str, encoder: EncoderConfig) -> ModelConfig:
    """A model of the first Segment Anything: single images only."""
    parts: dict[str, Any] = {"encoder": encoder, "decoder": _FIRST_DECODER, "memory": None}
    return ModelConfig(name, **parts, keep_aspect=True, pad_boxes=False)


MODELS: dict[str, ModelConfig] = {
    "tiny": ModelConfig("tiny", encoder=_TINY),
    "small": ModelConfig("small", encoder=_SMALL),
    "base_plus": ModelConfig("base_plus", encoder=_BASE_PLUS),
    "large": ModelConfig("large", encoder=_LARGE),
    "2.0-tiny": ModelConfig("2.0-tiny", encoder=_TINY, memory=_MEMORY_2_0),
    "2.0-small": ModelConfig("2.0-small", encoder=_SMALL, memory=_MEMORY_2_0),
    "2.0-base_plus": ModelConfig("2.0-base_plus", encoder=_BASE_PLUS, memory=_MEMORY_2_0),
    "2.0-large": ModelConfig("2.0-large", encoder=_LARGE, memory=_MEMORY_2_0),
    "nano": ModelConfig(
        "nano",
        image_size=256,
        hidden_dim=128,
        encoder=_NANO,
        memory=MemoryConfig(num_layers=2, feedforward_dim=512),
    ),
    "edgetam": ModelConfig("edgetam", encoder=RepViTConfig(), memory=_EDGE_MEMORY),
    "sam1-vit-b": _first("sam1-vit-b", ViTConfig()),
    "sam1-vit-l": _first("sam1-vit-l", ViTConfig(1024, 24, 16, (5, 11, 17, 23))),
    "sam1-vit-h": _first("sam1-vit-h", ViTConfig(1280, 32, 16, (7, 15, 23, 31))),
    "mobile-sam": _first("mobile-sam", TinyViTConfig()),
}
"""The published models by name (SAM 2.1 without a prefix), and the bundled one."""
