"""Whole networks of libraries, base classes that make a class a network, and calls that wrap, copy or run one."""

from __future__ import annotations

from functools import cache

from nnlint.knowledge.notation import words
from nnlint.knowledge.schema import Factory

_SENSITIVE = Factory("train", True)
_CONFIGURED = Factory("train", None)


def _names(module: str, names: str, factory: Factory) -> dict[str, Factory]:
    return {f"{module}.{name}": factory for name in names.split()}


# Functions and classes that return a whole network.
NETWORK_FACTORIES: dict[str, Factory] = {
    **_names(
        "torchvision.models",
        "AlexNet DenseNet EfficientNet GoogLeNet Inception3 MNASNet MobileNetV2 MobileNetV3 RegNet ResNet ShuffleNetV2 SqueezeNet VGG "
        "alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161 densenet169 densenet201 efficientnet_b0 "
        "efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_v2_l "
        "efficientnet_v2_m efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 "
        "mobilenet_v3_large mobilenet_v3_small regnet_x_16gf regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf "
        "regnet_x_8gf regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf regnet_y_800mf regnet_y_8gf "
        "resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 "
        "shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 swin_b swin_s swin_t swin_v2_b swin_v2_s "
        "swin_v2_t vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn wide_resnet101_2 wide_resnet50_2",
        _SENSITIVE,
    ),
    # dropout of 0 unless asked for
    **_names("torchvision.models", "vit_b_16 vit_b_32 vit_h_14 vit_l_16 vit_l_32 VisionTransformer get_model", _CONFIGURED),
    **_names(
        "torchvision.models.segmentation",
        "DeepLabV3 FCN LRASPP deeplabv3_mobilenet_v3_large deeplabv3_resnet101 deeplabv3_resnet50 fcn_resnet101 fcn_resnet50 "
        "lraspp_mobilenet_v3_large",
        _SENSITIVE,
    ),
    # in train mode these return losses, in eval mode detections
    **_names(
        "torchvision.models.detection",
        "FCOS FasterRCNN KeypointRCNN MaskRCNN RetinaNet SSD fasterrcnn_mobilenet_v3_large_320_fpn fasterrcnn_mobilenet_v3_large_fpn "
        "fasterrcnn_resnet50_fpn fasterrcnn_resnet50_fpn_v2 fcos_resnet50_fpn keypointrcnn_resnet50_fpn maskrcnn_resnet50_fpn "
        "maskrcnn_resnet50_fpn_v2 retinanet_resnet50_fpn retinanet_resnet50_fpn_v2 ssd300_vgg16 ssdlite320_mobilenet_v3_large",
        _SENSITIVE,
    ),
    **_names(
        "torchvision.models.video",
        "mc3_18 mvit_v1_b mvit_v2_s r2plus1d_18 r3d_18 s3d swin3d_b swin3d_s swin3d_t",
        _SENSITIVE,
    ),
    **_names("torchvision.models.optical_flow", "raft_large raft_small", _CONFIGURED),
    "timm.create_model": _CONFIGURED,
    **_names(
        "segmentation_models_pytorch",
        "DeepLabV3 DeepLabV3Plus FPN Linknet MAnet PAN PSPNet Segformer UPerNet Unet UnetPlusPlus create_model",
        _SENSITIVE,
    ),
    **_names("efficientnet_pytorch", "EfficientNet.from_name EfficientNet.from_pretrained", _SENSITIVE),
    **_names("pretrainedmodels", "resnet18 resnet50 resnet101 se_resnet50 se_resnext50_32x4d se_resnext101_32x4d xception", _SENSITIVE),
    **_names("resnest.torch", "resnest50 resnest101 resnest200 resnest269", _SENSITIVE),
    **_names("open_clip", "create_model create_model_and_transforms create_model_from_pretrained", _CONFIGURED),
    "clip.load": Factory("eval", False),
    "torch.hub.load": Factory("unknown", None),
    "torch.jit.load": Factory("unknown", None),
    "sentence_transformers.SentenceTransformer": Factory("unknown", None),
    "facenet_pytorch.InceptionResnetV1": _SENSITIVE,
    "detectron2.modeling.build_model": _SENSITIVE,
    "mmdet.apis.init_detector": Factory("eval", True),
    "mmseg.apis.init_model": Factory("eval", True),
    **_names(
        "monai.networks.nets",
        "AttentionUnet BasicUNet DenseNet121 DynUNet ResNet SegResNet SwinUNETR UNETR UNet VNet ViT resnet18 resnet34 resnet50",
        _CONFIGURED,
    ),
    **_names("torch_geometric.nn", "GAT GCN GIN GraphSAGE MLP PNA", _CONFIGURED),
}

# Classifiers whose output is what their last layer, a Linear, makes: the attribute that holds it, by the beginning of their names.
_HEADS: dict[str, str] = {
    "fc": "ResNet RegNet ShuffleNetV2 resnet resnext wide_resnet regnet_ shufflenet_",
    "classifier": "AlexNet DenseNet EfficientNet MNASNet MobileNetV VGG alexnet convnext_ densenet efficientnet_ maxvit_ mnasnet "
    "mobilenet_ vgg",
    "head": "swin_",
    "heads": "VisionTransformer vit_",
}


@cache
def head_of(name: str) -> str:
    """The attribute of a library's classifier that makes its scores, "" where it has none."""
    module, _, model = name.rpartition(".")
    if module != "torchvision.models" or name not in NETWORK_FACTORIES:
        return ""
    return next((head for head, names in _HEADS.items() if model.startswith(tuple(names.split()))), "")


# Where the call returns a tuple: the network's place in it.
IN_TUPLE: dict[str, int] = {"open_clip.create_model_and_transforms": 0, "open_clip.create_model_from_pretrained": 0, "clip.load": 0}

# Class methods of every network class of a library.
NETWORK_METHODS: dict[str, dict[str, Factory]] = {
    "transformers": {
        "from_pretrained": Factory("eval", True),
        "from_config": Factory("train", True),
        "_from_config": Factory("train", True),
    },
    "diffusers": {"from_pretrained": Factory("eval", None), "from_config": Factory("train", None)},
    "peft": {"from_pretrained": Factory("unknown", None)},
}

# The end of the name of classes in those libraries that are no networks, though they have the same methods.
NO_NETWORKS: tuple[str, ...] = (
    "Tokenizer",
    "TokenizerFast",
    "Config",
    "Processor",
    "ProcessorFast",
    "FeatureExtractor",
    "Pipeline",
    "Scheduler",
    "ModelCard",
)

# Base classes that make a class a network.
NETWORK_BASES: frozenset[str] = frozenset(
    {
        "torch.nn.Module",
        "torch.nn.Sequential",
        "torch.nn.ModuleList",
        "torch.nn.ModuleDict",
        "torch.jit.ScriptModule",
        "torch.fx.GraphModule",
        "lightning.pytorch.LightningModule",
        "lightning.LightningModule",
        "pytorch_lightning.LightningModule",
        "transformers.PreTrainedModel",
        "diffusers.ModelMixin",
        "diffusers.models.modeling_utils.ModelMixin",
        "torch_geometric.nn.MessagePassing",
        "fairseq.models.BaseFairseqModel",
        "fairseq.models.FairseqModel",
        "fairseq.models.FairseqEncoder",
        "fairseq.models.FairseqDecoder",
        "fairseq.models.FairseqIncrementalDecoder",
        "fairseq.models.FairseqEncoderModel",
        "fairseq.models.FairseqEncoderDecoderModel",
        "fairseq.models.FairseqLanguageModel",
        "mmengine.model.BaseModule",
        "mmengine.model.BaseModel",
        "mmcv.runner.BaseModule",
        "composer.models.ComposerModel",
        "composer.ComposerModel",
        "gpytorch.Module",
        "gpytorch.models.ExactGP",
        "gpytorch.models.ApproximateGP",
        "stable_baselines3.common.torch_layers.BaseFeaturesExtractor",
        "ray.rllib.models.torch.torch_modelv2.TorchModelV2",
        "allennlp.models.Model",
        "flair.nn.Model",
        "speechbrain.nnet.containers.Sequential",
        "pytorch_forecasting.models.BaseModel",
        "kornia.augmentation.AugmentationSequential",
    }
)

# Calls that return the network they are given, or a view on it: the parameter that holds it.
WRAPPERS: dict[str, str] = {
    "torch.nn.DataParallel": "module",
    "torch.nn.parallel.DistributedDataParallel": "module",
    "torch.nn.SyncBatchNorm.convert_sync_batchnorm": "module",
    "torch.distributed.fsdp.FullyShardedDataParallel": "module",
    "torch.distributed.fsdp.fully_shard": "module",
    "torch.distributed.fsdp.wrap.wrap": "module",
    "torch.distributed.tensor.parallel.parallelize_module": "module",
    "torch.compile": "model",
    "torch.jit.script": "obj",
    "torch.jit.trace": "func",
    "torch.jit.optimize_for_inference": "mod",
    "torch.nn.utils.weight_norm": "module",
    "torch.nn.utils.remove_weight_norm": "module",
    "torch.nn.utils.spectral_norm": "module",
    "torch.nn.utils.remove_spectral_norm": "module",
    "torch.nn.utils.parametrizations.weight_norm": "module",
    "torch.nn.utils.parametrizations.spectral_norm": "module",
    "torch.nn.utils.parametrizations.orthogonal": "module",
    "torch.nn.utils.parametrize.register_parametrization": "module",
    "torch.nn.utils.parametrize.remove_parametrizations": "module",
    "torch.nn.utils.prune.identity": "module",
    "torch.nn.utils.prune.random_unstructured": "module",
    "torch.nn.utils.prune.l1_unstructured": "module",
    "torch.nn.utils.prune.random_structured": "module",
    "torch.nn.utils.prune.ln_structured": "module",
    "torch.nn.utils.prune.custom_from_mask": "module",
    "torch.nn.utils.prune.remove": "module",
    "torch.nn.utils.convert_conv2d_weight_memory_format": "module",
    "torch.func.functionalize": "func",
    "apex.parallel.DistributedDataParallel": "module",
    "apex.parallel.convert_syncbn_model": "module",
    "timm.layers.convert_sync_batchnorm": "module",
    "timm.layers.convert_splitbn_model": "module",
    "fairscale.nn.data_parallel.ShardedDataParallel": "module",
    "fairscale.nn.ShardedDataParallel": "module",
    "fairscale.nn.FullyShardedDataParallel": "module",
    "fairscale.nn.checkpoint_wrapper": "module",
    "torch.distributed.algorithms._checkpoint.checkpoint_wrapper.checkpoint_wrapper": "module",
    "peft.get_peft_model": "model",
    "peft.prepare_model_for_kbit_training": "model",
    "sync_batchnorm.convert_model": "module",
    "sync_batchnorm.DataParallelWithCallback": "module",
    "opacus.GradSampleModule": "m",
    "torch_geometric.nn.DataParallel": "module",
    "torch_geometric.nn.to_hetero": "module",
    "torch_geometric.compile": "model",
}

# Methods of a network that return the network itself.
RETURNS_SELF: frozenset[str] = frozenset(
    words("apply bfloat16 cpu cuda double eval float half ipu mtia requires_grad_ share_memory to to_empty train type xpu")
)

# Calls that return a network of their own with the parameters of the one they are given: the parameter that holds it.
COPIES: dict[str, str] = {
    "copy.deepcopy": "x",
    "torch.optim.swa_utils.AveragedModel": "model",
    "timm.utils.ModelEma": "model",
    "timm.utils.ModelEmaV2": "model",
    "timm.utils.ModelEmaV3": "model",
    "torch.quantization.quantize_dynamic": "model",
    "torch.ao.quantization.quantize_dynamic": "model",
    "torch.ao.quantization.prepare_qat": "model",
    "torch.ao.quantization.convert": "module",
    "ema_pytorch.EMA": "model",
}

# Functions that call what they are given with the arguments after it: (parameter of the callable, of its arguments).
CALLERS: dict[str, tuple[str, str]] = {
    "torch.utils.checkpoint.checkpoint": ("function", "args"),
    "torch.utils.checkpoint.checkpoint_sequential": ("functions", "input"),
    "torch.nn.parallel.data_parallel": ("module", "inputs"),
    "torch.func.functional_call": ("module", "args"),
    "torch.nn.utils.stateless.functional_call": ("module", "args"),
}

# Functions that run a network on data in train mode to refresh its BatchNorm statistics.
STATISTICS_UPDATES: frozenset[str] = frozenset({"torch.optim.swa_utils.update_bn"})
