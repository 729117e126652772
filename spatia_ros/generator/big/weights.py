"""Opening the big generator: a folder, a settings file in it, weights in their published layouts, and nothing from anywhere else.

``spatia.json`` in the folder names its parts, by paths relative to it or absolute::

    {"format": "spatia-wan", "base": "Wan2.2-TI2V-5B-Diffusers", "control": "Spatia/step-8500.safetensors",
     "low_rank": "Spatia/lora_weights_10000.safetensors", "depth": "depth-anything"}

The rest may be left out: low_rank, steps 40, guidance 3.5, shift 5.0, strength 1.0, references 7, canvas [1248, 704], prompt,
negative_prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    import torch

    from spatia_ros.generator.big.codec import Codec
    from spatia_ros.generator.big.depth import Estimator
    from spatia_ros.generator.big.generator import BigGenerator
    from spatia_ros.generator.big.transformer import Network
    from spatia_ros.generator.big.words import Words

SETTINGS = "spatia.json"


class Settings(BaseModel):
    """What ``spatia.json`` says; paths are resolved against its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["spatia-wan"]
    base: Path
    control: Path
    low_rank: Path | None = None
    depth: Path
    steps: int = Field(40, ge=1, le=1000)
    guidance: float = Field(3.5, ge=0.0, le=100.0)
    shift: float = Field(5.0, gt=0.0, le=100.0)
    strength: float = Field(1.0, ge=0.0, le=10.0)
    references: int = Field(7, ge=0, le=7)
    canvas: tuple[int, int] = (1248, 704)
    prompt: str = ""
    negative_prompt: str = ""


def read_settings(folder: Path) -> Settings:
    """The settings of a folder.

    Raises:
        SpatiaError: on a missing file, unknown words, or values of another kind.
    """
    from spatia_ros.generator.big.layout import read_json  # it needs torch

    said = read_json(folder / SETTINGS)
    for name in ("base", "control", "low_rank", "depth"):
        if isinstance(said.get(name), str):
            said[name] = folder / said[name]
    try:
        return Settings.model_validate(said)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SpatiaError(f"{folder / SETTINGS}: {problems}") from None


def is_big(name: str) -> bool:
    """Whether a generator's name is a folder of this kind."""
    return (Path(name) / SETTINGS).is_file()


def open_big(
    folder: Path, open_depth: Callable[[Path], Estimator], prompt: str = "", device: str | None = None
) -> BigGenerator:
    """The generator of a folder.

    Args:
        open_depth: opens what tells depth from one picture, from the folder the settings name (``spatia_ros.seed`` can).
        prompt: what to see, in any words; empty: the settings'.
        device: of torch; a GPU where there is one, by default.

    Raises:
        SpatiaError: saying which package, file or tensor is missing, or not what it should be.
    """
    try:
        import diffusers  # noqa: F401
        import torch
    except ImportError as error:
        raise SpatiaError(f"big generator: {error}: pip install -r requirements/big.txt") from None
    from spatia_ros.generator.big.generator import BigGenerator, Prompts
    from spatia_ros.generator.big.sampler import Sampler, Schedule

    settings = read_settings(folder)
    depth = open_depth(settings.depth)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    network, codec = _network(settings, where), _codec(settings.base / "vae", where)
    words = _words(settings.base, where, network.base.dtype)
    given = {"asked": prompt or settings.prompt, "shunned": settings.negative_prompt}
    prompts = Prompts(**{name: text for name, text in given.items() if text})
    schedule = Schedule(settings.steps, settings.guidance, settings.shift)
    columns, rows = settings.canvas
    return BigGenerator(Sampler(network, codec, schedule), words, depth, prompts, settings.references, rows, columns)


def _network(settings: Settings, device: torch.device) -> Network:
    import torch
    from diffusers import WanTransformer3DModel

    from spatia_ros.generator.big.control import empty_like
    from spatia_ros.generator.big.layout import read_tensors
    from spatia_ros.generator.big.low_rank import attach
    from spatia_ros.generator.big.transformer import Network

    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    base = _from_folder(WanTransformer3DModel, settings.base / "transformer", dtype)
    if base.config.in_channels != base.config.out_channels or base.config.image_dim is not None:
        raise SpatiaError(f"{settings.base / 'transformer'}: expected Wan2.2-TI2V-5B's transformer, got another Wan's")
    control = empty_like(base)
    control.load_published(read_tensors(settings.control), str(settings.control))
    parts = []
    if settings.low_rank is not None:
        parts = attach(base, read_tensors(settings.low_rank), str(settings.low_rank))
    return Network(base.to(device).eval(), control.to(device, dtype).eval(), parts, settings.strength)


def _codec(folder: Path, device: torch.device) -> Codec:
    import torch
    from diffusers import AutoencoderKLWan

    from spatia_ros.generator.big.codec import Codec

    return Codec(_from_folder(AutoencoderKLWan, folder, torch.float32).to(device).eval())


def _from_folder(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """A model of diffusers from its folder, after its names and shapes were checked."""
    import torch

    from spatia_ros.generator.big.layout import each_tensor, load_exactly, read_json

    config = read_json(folder / "config.json")
    if config.get("_class_name") != kind.__name__:
        raise SpatiaError(f"{folder}: expected a {kind.__name__}, got {config.get('_class_name')!r}")
    try:
        with torch.device("meta"):
            model = kind.from_config(config)
    except Exception as error:  # a config may be wrong in as many ways as there are constructors in it
        raise SpatiaError(f"{folder / 'config.json'}: no configuration of a {kind.__name__}: {error}") from error
    exact = tuple(kind._keep_in_fp32_modules or ())  # what the library says must not be rounded
    tensors = {
        name: value.to(torch.float32 if any(part in name for part in exact) else dtype) for name, value in each_tensor(folder)
    }
    load_exactly(model, tensors, str(folder))
    if hasattr(model, "rope"):  # its tables are no weights
        model.rope = type(model.rope)(model.config.attention_head_dim, model.config.patch_size, model.config.rope_max_seq_len)
    return model


def _words(base: Path, device: torch.device, dtype: torch.dtype) -> Words:
    """The text encoder stays on the CPU: it is as large as the rest, and asked once a prompt."""
    import torch
    from transformers import AutoTokenizer, UMT5EncoderModel

    from spatia_ros.generator.big.layout import read_json
    from spatia_ros.generator.big.words import Words

    folder = base / "text_encoder"
    if read_json(folder / "config.json").get("model_type") != "umt5":
        raise SpatiaError(f"{folder}: expected a umt5 text encoder")
    how: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
    how["dtype"] = torch.bfloat16 if device.type == "cuda" else torch.float32
    kind: Any = UMT5EncoderModel
    try:
        tokenizer = AutoTokenizer.from_pretrained(base / "tokenizer", local_files_only=True, trust_remote_code=False)
        encoder, found = kind.from_pretrained(folder, **how)
    except Exception as error:  # the loaders raise whatever their parts raise on files that are not theirs
        raise SpatiaError(f"{base}: not a umt5 text encoder and its tokenizer: {type(error).__name__}: {error}") from error
    missing = sorted(name for name in found["missing_keys"] if "embed_tokens" not in name)
    if missing or found["mismatched_keys"]:
        raise SpatiaError(f"{folder}: expected all weights of a umt5 encoder, missing or of another shape: {missing[:4]}")
    return Words(tokenizer, encoder.eval(), device, dtype)
