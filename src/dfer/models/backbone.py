"""The CLIP that a run starts from: which architecture, and weights of every common format.

Loading is strict on purpose. A checkpoint of another architecture, or OpenAI's weights in a
configuration with plain GELU (they need QuickGELU, and nothing but the accuracy would tell), is
refused with the name of a configuration that fits.
"""

import json
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dfer.errors import UserError
from dfer.files import check_readable
from dfer.models.vit import ImageTower, VisionConfig
from dfer.settings import BackboneSettings

if TYPE_CHECKING:  # seconds to import: only where a CLIP of its own, or its list of them, is needed
    import open_clip

VISION_KEYS = {"image_size", "patch_size", "width", "layers", "head_width", "mlp_ratio"}
OPENAI_KEYS = {"input_resolution", "context_length", "vocab_size"}  # sizes kept as tensors

# Of R, G and B in 0…1, as OpenAI's CLIP was trained with them.
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

PixelStatistics = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std of R, G and B in 0…1


def read_config(model: str) -> dict[str, Any]:
    """An open_clip configuration: `embed_dim`, `quick_gelu`, `vision_cfg`, `text_cfg`.

    Args:
        model: open_clip's name, for example "ViT-B-32-quickgelu", or the path of a `.json` file.

    Raises:
        UserError: no such configuration, or towers that this project does not build.
    """
    if model.endswith(".json"):
        try:
            config = json.loads(Path(model).read_text(encoding="utf-8"))
            config = config.get("model_cfg", config)  # as on the Hugging Face hub
        except FileNotFoundError:
            raise UserError(
                f"{model}: no such file. Set backbone.model to an existing one."
            ) from None
        except json.JSONDecodeError as error:
            raise UserError(f"{model}: not JSON ({error}). Mend it.") from None
    else:
        from open_clip import get_model_config

        config = get_model_config(model) if ":" not in model else None
    if not config or not {"embed_dim", "vision_cfg", "text_cfg"} <= set(config):
        raise UserError(
            f"{model}: not a CLIP configuration. Set backbone.model to a name that open_clip knows "
            "(`python -c 'import open_clip; print(open_clip.list_models())'`) or to the path of a "
            "JSON file with embed_dim, vision_cfg and text_cfg."
        )
    _check_towers(model, config)
    return config


def _check_towers(model: str, config: dict[str, Any]) -> None:
    """Refuse what `ImageTower` and the tokeniser of CLIP do not cover."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    odd = []
    if "timm_model_name" in vision:
        odd.append(f"an image tower of timm ({vision['timm_model_name']})")
    elif isinstance(vision.get("layers"), list):
        odd.append("a ResNet as image tower")
    else:
        odd += [f"vision_cfg.{key}: {vision[key]}" for key in sorted(set(vision) - VISION_KEYS)]
    if "hf_model_name" in text:
        odd.append(f"a text tower of Hugging Face ({text['hf_model_name']})")
    elif "hf_tokenizer_name" in text:
        odd.append(f"a tokeniser of Hugging Face ({text['hf_tokenizer_name']})")
    odd += [key for key in ("custom_text", "multimodal_cfg") if config.get(key)]
    if odd:
        raise UserError(
            f"{model}: this CLIP has {', '.join(odd)}, and only plain vision transformers with "
            "CLIP's own text tower can be used. Choose another, for example ViT-B-32-quickgelu."
        )


def vision_config(model: str) -> VisionConfig:
    """The image tower of a configuration, see `read_config`."""
    return vision_of(read_config(model))


def vision_of(architecture: Mapping[str, Any]) -> VisionConfig:
    """The image tower of the content of a configuration, as `read_config` gives it."""
    vision = architecture["vision_cfg"]
    return VisionConfig(
        image_size=vision.get("image_size", 224),
        patch_size=vision.get("patch_size", 16),
        width=vision.get("width", 768),
        layers=vision.get("layers", 12),
        heads=vision.get("width", 768) // vision.get("head_width", 64),
        mlp_ratio=vision.get("mlp_ratio", 4.0),
        embed_dim=architecture["embed_dim"],
        quick_gelu=architecture.get("quick_gelu", False),
    )


def load_backbone(model: str, weights: str | None) -> "open_clip.CLIP":
    """A CLIP in float32, in evaluation mode, on the CPU.

    Args:
        model: see `read_config`.
        weights: open_clip's pretrained tag ("openai", "laion2b_s34b_b79k", …), which is downloaded;
            the path of open_clip's state dict (`.pt`, `.bin`, `.safetensors`) or of OpenAI's
            TorchScript archive (`.pt`); None for random weights from torch's generator.

    Raises:
        UserError: unknown or unreadable weights, or weights that do not fit the configuration.
    """
    from open_clip import CLIP

    config = read_config(model)
    backbone = CLIP(
        embed_dim=config["embed_dim"],
        vision_cfg=config["vision_cfg"],
        text_cfg=config["text_cfg"],
        quick_gelu=config.get("quick_gelu", False),
    )
    if weights is not None:
        state = _read_weights(model, config, weights)
        _check_architecture(model, weights, state, backbone.state_dict())
        backbone.load_state_dict(state)  # copies into float32
    return backbone.eval()


def load_image_tower(model: str, weights: str | None) -> dict[str, Tensor]:
    """The weights of a CLIP's image tower alone, for `ImageTower.load_state_dict`.

    Args and errors are those of `load_backbone`. No text tower is built or looked at, except to
    draw random weights (None) as they are in the whole CLIP.
    """
    if weights is None:
        return load_backbone(model, None).visual.state_dict()
    config = read_config(model)
    state = _read_weights(model, config, weights)
    state = {name: value for name, value in state.items() if name.startswith("visual.")}
    with torch.device("meta"):
        tower = ImageTower(vision_of(config)).state_dict()
    _check_architecture(model, weights, state, {f"visual.{n}": v for n, v in tower.items()})
    return {name.removeprefix("visual."): value for name, value in state.items()}


def _read_weights(model: str, config: dict[str, Any], weights: str) -> dict[str, Tensor]:
    """The state dict of a tag or file, its activation checked against the configuration."""
    tag = _released(model, weights)
    if tag:
        from open_clip.pretrained import download_pretrained

        _check_activation(model, config, weights, tag.get("quick_gelu", False))
        try:
            path = Path(download_pretrained(tag))
        except Exception as error:  # of urllib, huggingface_hub, the disk…
            raise UserError(
                f"{weights}: could not download these weights of {model} ({error}). On a machine "
                "without internet, fetch the file elsewhere and set backbone.weights to its path."
            ) from error
    else:
        path = Path(weights)
        if not path.is_file():
            from open_clip import list_pretrained_tags_by_model

            tags = ", ".join(list_pretrained_tags_by_model(model)) or "none"
            raise UserError(
                f"{weights}: neither a file nor a pretrained tag of {model}. "
                f"Set backbone.weights to a path, or to one of its tags: {tags}."
            )
    state, openai = _read_checkpoint(path)
    if openai:
        _check_activation(model, config, weights, quick_gelu=True)
        _check_heads(model, config, weights)
    if not tag and (released := _card(path).get("model_cfg")):
        _check_activation(model, config, weights, released.get("quick_gelu", False))
    return state


def _released(model: str, weights: str) -> dict[str, Any]:
    """What open_clip knows of one of its tags; {} for weights or a configuration of one's own."""
    if model.endswith(".json"):
        return {}
    from open_clip.pretrained import get_pretrained_cfg

    return get_pretrained_cfg(model, weights)


def _card(weights: Path) -> dict[str, Any]:
    """What open_clip's releases say of their weights in a file beside them; {} without one."""
    path = weights.with_name("open_clip_config.json")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON ({error}). Fetch it again, or delete it.") from None


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], bool]:
    """A checkpoint's state dict, and whether it is in OpenAI's format. No pickle is executed."""
    check_readable(path)
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        elif _is_torchscript(path):
            with warnings.catch_warnings(action="ignore", category=FutureWarning):
                archive = torch.jit.load(path, map_location="cpu")  # deprecated; they are such
            state = dict(archive.state_dict())
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state)
    except Exception as error:  # zip, pickle, safetensors and torch raise their own
        raise UserError(
            f"{path}: not a readable checkpoint ({error}). Give open_clip's state dict (.pt, .bin, "
            ".safetensors) or OpenAI's TorchScript archive (.pt), complete and unchanged."
        ) from error
    state = {name.removeprefix("module."): value for name, value in state.items()}
    openai = _is_torchscript(path) or set(state) >= OPENAI_KEYS
    return {name: value for name, value in state.items() if name not in OPENAI_KEYS}, openai


def _is_torchscript(path: Path) -> bool:
    """True for a TorchScript archive: a zip with code in it, which `torch.save` never writes."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _check_activation(model: str, config: dict[str, Any], weights: str, quick_gelu: bool) -> None:
    """Refuse weights that were trained with another activation than the configuration's."""
    if config.get("quick_gelu", False) == quick_gelu:
        return
    names = {True: "QuickGELU", False: "GELU"}
    if not model.endswith(".json"):
        other = f"{model}-quickgelu" if quick_gelu else model.removesuffix("-quickgelu")
        remedy = f"Set backbone.model to {other}."
    else:
        remedy = f'Write "quick_gelu": {str(quick_gelu).lower()} in {model}.'
    raise UserError(
        f"{weights}: these weights were trained with {names[quick_gelu]}, and {model} has "
        f"{names[not quick_gelu]}: the features would be worse without a warning. {remedy}"
    )


def _check_heads(model: str, config: dict[str, Any], weights: str) -> None:
    """Refuse OpenAI's weights with heads that are not 64 wide: no shape in them would tell."""
    vision, text = vision_config(model), config["text_cfg"]
    heads = (vision.heads, text.get("heads", 8))
    expected = (vision.width // 64, text.get("width", 512) // 64)
    if heads != expected:
        raise UserError(
            f"{weights}: OpenAI's CLIP has {expected[0]} image and {expected[1]} text heads at "
            f"these widths, and {model} has {heads[0]} and {heads[1]}. Mend head_width and heads."
        )


def _describe(state: Mapping[str, Tensor]) -> dict[str, int]:
    """What the shapes of a state dict, of a CLIP or its image tower, tell of its architecture."""
    patch = state["visual.conv1.weight"].shape[-1]
    names = [name for name in state if name.endswith(".attn.in_proj_weight")]
    image = {
        "image width": state["visual.conv1.weight"].shape[0],
        "image layers": sum(name.startswith("visual.") for name in names),
        "patch size": patch,
        "image size": patch * round((len(state["visual.positional_embedding"]) - 1) ** 0.5),
        "embed_dim": state["visual.proj"].shape[1],
    }
    if all(name.startswith("visual.") for name in state):
        return image
    return image | {
        "text width": len(state["ln_final.weight"]),
        "text layers": sum(name.startswith("transformer.") for name in names),
        "context length": len(state["positional_embedding"]),
        "vocabulary": len(state["token_embedding.weight"]),
    }


def _check_architecture(
    model: str, weights: str, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    """Refuse a state dict that is not of the configuration's shapes, and say what differs."""
    try:
        found = _describe(state)
    except KeyError as error:
        raise UserError(
            f"{weights}: no {error.args[0]!r} in it, so not a CLIP with a vision transformer. "
            f"Set backbone.weights to weights of {model}."
        ) from None
    wanted = _describe(expected)
    differing = [
        f"{key} {found[key]}, not {wanted[key]}" for key in found if found[key] != wanted[key]
    ]
    if differing:
        fitting = ", ".join(_models_like(found))
        raise UserError(
            f"{weights}: of another architecture than {model}: {'; '.join(differing)}. "
            + (
                f"Set backbone.model to one of {fitting}."
                if fitting
                else "Choose another backbone.model."
            )
        )
    names = set(state) ^ set(expected)
    names |= {name for name in state.keys() - names if state[name].shape != expected[name].shape}
    if names:
        some = ", ".join(sorted(names)[:3])
        raise UserError(
            f"{weights}: does not fit {model}: {len(names)} parameters are missing, unknown or of "
            f"another shape ({some}…). Set backbone.model to what these weights were saved from."
        )


def _models_like(found: Mapping[str, int]) -> list[str]:
    """open_clip's names of plain CLIPs with this image tower, whatever else varies."""
    from open_clip import list_models

    fitting = []
    for name in list_models():
        try:
            vision = vision_config(name)
        except UserError:
            continue
        shape = (vision.width, vision.layers, vision.patch_size, vision.image_size)
        keys = ("image width", "image layers", "patch size", "image size")
        if shape == tuple(found[key] for key in keys) and vision.embed_dim == found["embed_dim"]:
            fitting.append(name)
    return fitting


def pixel_statistics(backbone: BackboneSettings) -> PixelStatistics:
    """Mean and standard deviation of each RGB channel, in 0…1, that frames are normalised with.

    They are those of the CLIP's training, as open_clip's tag or the card beside the weights has
    them (a few differ from OpenAI's); else OpenAI's.
    """
    if backbone.normalise == "none":
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    known = {}
    if backbone.weights is not None:
        known = _released(backbone.model, backbone.weights)
        known = known or _card(Path(backbone.weights)).get("preprocess_cfg", {})
    mean, std = known.get("mean", OPENAI_MEAN), known.get("std", OPENAI_STD)
    return tuple(mean), tuple(std)


def normaliser(pixels: PixelStatistics, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The function from frames (…, 3, H, W) uint8 to float32 as a CLIP with `pixels` wants them."""
    mean, std = (torch.tensor(x, device=device).view(3, 1, 1) for x in pixels)
    return lambda frames: (frames.to(device, non_blocking=True).float() / 255 - mean) / std
