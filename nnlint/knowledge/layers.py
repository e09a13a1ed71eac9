"""Layers: the module classes of torch.nn and of the libraries around it, by qualified name. Losses are in `nnlint.knowledge.losses`."""

from __future__ import annotations

from nnlint.knowledge.notation import parameters
from nnlint.knowledge.schema import Kind, Layer, Op

_OFF_DROPOUT = "dropout=0"
_OFF_RECURRENT = "dropout=0|num_layers=1"
_CONV = "kernel_size stride=1 padding=0 dilation=1 groups=1 bias=True padding_mode=zeros"
_TRANSPOSED = "kernel_size stride=1 padding=0 output_padding=0 groups=1 bias=True dilation=1 padding_mode=zeros"
_RECURRENT = "input_size hidden_size num_layers=1 bias=True batch_first=False dropout=0.0 bidirectional=False"
_CONV_NORM = "in_channels out_channels kernel_size=3 stride=1 padding groups=1 norm_layer activation_layer"
_STATISTICS = "eps momentum affine={affine} track_running_stats={tracked}"
_TRANSFORMER = "dim_feedforward=2048 dropout=0.1 activation layer_norm_eps batch_first=False norm_first=False bias=True"


def _layers(
    kind: Kind,
    text: str,
    *,
    library: str = "torch.nn",
    mode: bool = False,
    mode_off: str = "",
    cancels_bias: bool = False,
    out: str = "",
    container: str = "",
    holds: str = "",
    results: int = 1,
    rest: str = "",
) -> dict[str, Layer]:
    """The layers of a table with lines `Class=operation parameter=default ...`."""
    layers: dict[str, Layer] = {}
    for line in text.strip().splitlines():
        head, *tokens = line.split()
        name, _, operation = head.partition("=")
        names, defaults = parameters(tokens)
        bias = "bias" if kind in _BIASED and "bias" in names else ""
        op = Op(operation, kind, names, results=results, rest=rest)
        layers[f"{library}.{name}"] = Layer(op, defaults, mode, mode_off, bias, cancels_bias, out, container, holds)
    return layers


_BIASED = (Kind.AFFINE, Kind.RECURRENT, Kind.ATTENTION)


def _dims(text: str) -> str:
    """One line for each of 1, 2 and 3 dimensions."""
    return "\n".join(line.replace("{d}", str(d)) for line in text.strip().splitlines() for d in (1, 2, 3))


_TORCH: dict[str, Layer] = {
    **_layers(Kind.KEEP, "Sequential=sequential args", container="sequential", rest="args"),
    **_layers(Kind.KEEP, "ModuleList=list modules", container="list"),
    **_layers(Kind.KEEP, "ModuleDict=dict modules", container="dict"),
    **_layers(Kind.KEEP, "ParameterList=parameters values\nParameterDict=parameters parameters", container="parameters"),
    # from weights
    **_layers(
        Kind.AFFINE,
        "Linear=linear in_features out_features bias=True\n"
        "LazyLinear=linear out_features bias=True\n"
        "Bilinear=bilinear in1_features in2_features out_features bias=True",
        out="out_features",
    ),
    **_layers(Kind.AFFINE, _dims(f"Conv{{d}}d=conv{{d}}d in_channels out_channels {_CONV}"), out="out_channels"),
    **_layers(Kind.AFFINE, _dims(f"LazyConv{{d}}d=conv{{d}}d out_channels {_CONV}"), out="out_channels"),
    **_layers(Kind.AFFINE, _dims(f"ConvTranspose{{d}}d=conv_transpose{{d}}d in_channels out_channels {_TRANSPOSED}"), out="out_channels"),
    **_layers(Kind.AFFINE, _dims(f"LazyConvTranspose{{d}}d=conv_transpose{{d}}d out_channels {_TRANSPOSED}"), out="out_channels"),
    **_layers(
        Kind.AFFINE,
        "Embedding=embedding num_embeddings embedding_dim padding_idx max_norm norm_type scale_grad_by_freq sparse\n"
        "EmbeddingBag=embedding_bag num_embeddings embedding_dim max_norm norm_type scale_grad_by_freq mode=mean sparse",
        out="embedding_dim",
    ),
    # activations
    **_layers(
        Kind.PROBABILITY,
        """
        Softmax=softmax dim=None
        Softmax2d=softmax
        Softmin=softmin dim=None
        Sigmoid=sigmoid
        Hardsigmoid=hardsigmoid inplace
        """,
    ),
    **_layers(Kind.LOG_PROBABILITY, "LogSoftmax=log_softmax dim=None\nLogSigmoid=logsigmoid"),
    **_layers(
        Kind.ACTIVATION,
        """
        ReLU=relu inplace
        ReLU6=relu6 inplace
        LeakyReLU=leaky_relu negative_slope=0.01 inplace
        PReLU=prelu num_parameters=1 init=0.25
        ELU=elu alpha inplace
        SELU=selu inplace
        CELU=celu alpha inplace
        GELU=gelu approximate
        SiLU=silu inplace
        Mish=mish inplace
        Hardswish=hardswish inplace
        Hardtanh=hardtanh min_val max_val inplace
        Hardshrink=hardshrink lambd
        Softshrink=softshrink lambd
        Tanhshrink=tanhshrink
        Tanh=tanh
        Softsign=softsign
        Softplus=softplus beta threshold
        Threshold=threshold threshold value inplace
        GLU=glu dim=-1
        """,
    ),
    **_layers(Kind.ACTIVATION, "RReLU=rrelu lower upper inplace", mode=True),
    # dropout
    **_layers(
        Kind.KEEP,
        """
        Dropout=dropout p=0.5 inplace
        Dropout1d=dropout p=0.5 inplace
        Dropout2d=dropout p=0.5 inplace
        Dropout3d=dropout p=0.5 inplace
        AlphaDropout=dropout p=0.5 inplace
        FeatureAlphaDropout=dropout p=0.5 inplace
        """,
        mode=True,
        mode_off="p=0",
    ),
    # norms
    **_layers(
        Kind.NORM,
        _dims(
            "BatchNorm{d}d=batch_norm num_features " + _STATISTICS.format(affine=True, tracked=True) + "\n"
            "InstanceNorm{d}d=instance_norm num_features " + _STATISTICS.format(affine=False, tracked=False)
        )
        + "\nSyncBatchNorm=batch_norm num_features "
        + _STATISTICS.format(affine=True, tracked=True)
        + " process_group",
        mode=True,
        mode_off="track_running_stats=False",
        cancels_bias=True,
        out="num_features",
    ),
    **_layers(
        Kind.NORM,
        _dims(
            "LazyBatchNorm{d}d=batch_norm " + _STATISTICS.format(affine=True, tracked=True) + "\n"
            "LazyInstanceNorm{d}d=instance_norm " + _STATISTICS.format(affine=True, tracked=True)  # unlike InstanceNorm
        ),
        mode=True,
        mode_off="track_running_stats=False",
        cancels_bias=True,
    ),
    **_layers(
        Kind.NORM,
        """
        LayerNorm=layer_norm normalized_shape eps elementwise_affine=True bias=True
        RMSNorm=rms_norm normalized_shape eps elementwise_affine=True
        GroupNorm=group_norm num_groups num_channels eps affine=True
        LocalResponseNorm=local_response_norm size alpha beta k
        CrossMapLRN2d=local_response_norm size alpha beta k
        """,
    ),
    # recurrent: (output, hidden)
    **_layers(
        Kind.RECURRENT,
        f"LSTM=lstm {_RECURRENT} proj_size=0\nGRU=gru {_RECURRENT}",
        mode=True,
        mode_off=_OFF_RECURRENT,
        out="hidden_size",
        results=2,
    ),
    **_layers(
        Kind.RECURRENT,
        "RNN=rnn input_size hidden_size num_layers=1 nonlinearity=tanh bias=True batch_first=False dropout=0.0 bidirectional=False",
        mode=True,
        mode_off=_OFF_RECURRENT,
        out="hidden_size",
        results=2,
    ),
    **_layers(
        Kind.RECURRENT,
        "RNNCell=rnn_cell input_size hidden_size bias=True nonlinearity=tanh\nGRUCell=gru_cell input_size hidden_size bias=True",
        out="hidden_size",
    ),
    **_layers(Kind.RECURRENT, "LSTMCell=lstm_cell input_size hidden_size bias=True", out="hidden_size", results=2),
    # attention
    **_layers(
        Kind.ATTENTION,
        "MultiheadAttention=multi_head_attention embed_dim num_heads dropout=0.0 bias=True add_bias_kv add_zero_attn kdim vdim "
        "batch_first=False",
        mode=True,
        mode_off=_OFF_DROPOUT,
        out="embed_dim",
        results=2,
    ),
    **_layers(
        Kind.ATTENTION,
        f"TransformerEncoderLayer=transformer_encoder_layer d_model nhead {_TRANSFORMER}\n"
        f"TransformerDecoderLayer=transformer_decoder_layer d_model nhead {_TRANSFORMER}\n"
        "Transformer=transformer d_model=512 nhead=8 num_encoder_layers=6 num_decoder_layers=6 dim_feedforward=2048 dropout=0.1 activation "
        "custom_encoder custom_decoder layer_norm_eps batch_first=False norm_first=False bias=True",
        mode=True,
        mode_off=_OFF_DROPOUT,
        out="d_model",
    ),
    **_layers(
        Kind.ATTENTION,
        "TransformerEncoder=transformer_encoder encoder_layer num_layers norm=None enable_nested_tensor mask_check",
        mode=True,
        holds="encoder_layer",
    ),
    **_layers(
        Kind.ATTENTION, "TransformerDecoder=transformer_decoder decoder_layer num_layers norm=None", mode=True, holds="decoder_layer"
    ),
    # pools
    **_layers(
        Kind.POOL,
        _dims("""
            MaxPool{d}d=max_pool{d}d kernel_size stride=None padding=0 dilation=1 return_indices=False ceil_mode=False
            LPPool{d}d=lp_pool{d}d norm_type kernel_size stride=None ceil_mode=False
            AdaptiveAvgPool{d}d=adaptive_avg_pool{d}d output_size
            AdaptiveMaxPool{d}d=adaptive_max_pool{d}d output_size return_indices=False
            """)
        + """
        AvgPool1d=avg_pool1d kernel_size stride=None padding=0 ceil_mode=False count_include_pad
        AvgPool2d=avg_pool2d kernel_size stride=None padding=0 ceil_mode=False count_include_pad divisor_override
        AvgPool3d=avg_pool3d kernel_size stride=None padding=0 ceil_mode=False count_include_pad divisor_override
        """.rstrip(),
    ),
    # random pools draw their regions in both modes
    **_layers(
        Kind.POOL,
        """
        FractionalMaxPool2d=fractional_max_pool2d kernel_size output_size output_ratio return_indices=False
        FractionalMaxPool3d=fractional_max_pool3d kernel_size output_size output_ratio return_indices=False
        """,
    ),
    # arrangement
    **_layers(
        Kind.KEEP,
        _dims("""
            ConstantPad{d}d=pad padding value
            ZeroPad{d}d=pad padding
            ReflectionPad{d}d=pad padding
            ReplicationPad{d}d=pad padding
            CircularPad{d}d=pad padding
            """)
        + """
        Flatten=flatten start_dim=1 end_dim=-1
        Unflatten=unflatten dim unflattened_size
        ChannelShuffle=channel_shuffle groups
        Unfold=im2col kernel_size dilation=1 padding=0 stride=1
        """.rstrip(),
    ),
    **_layers(Kind.KEEP, "Identity=identity args", rest="args"),
    **_layers(Kind.ARITHMETIC, "Fold=col2im output_size kernel_size dilation=1 padding=0 stride=1"),
    **_layers(
        Kind.RESAMPLE,
        """
        Upsample=interpolate size scale_factor mode=nearest align_corners recompute_scale_factor
        UpsamplingNearest2d=interpolate size scale_factor
        UpsamplingBilinear2d=interpolate size scale_factor
        PixelShuffle=pixel_shuffle upscale_factor
        PixelUnshuffle=pixel_unshuffle downscale_factor
        MaxUnpool1d=max_unpool1d kernel_size stride padding
        MaxUnpool2d=max_unpool2d kernel_size stride padding
        MaxUnpool3d=max_unpool3d kernel_size stride padding
        """,
    ),
    **_layers(Kind.REDUCE, "CosineSimilarity=cosine_similarity dim=1 eps\nPairwiseDistance=pairwise_distance p eps keepdim=False"),
}

_TORCHVISION: dict[str, Layer] = {
    **_layers(
        Kind.ACTIVATION,
        f"Conv2dNormActivation=conv_norm_activation {_CONV_NORM}\nConv3dNormActivation=conv_norm_activation {_CONV_NORM}",
        library="torchvision.ops",
        mode=True,
        mode_off="norm_layer=None",
        out="out_channels",
    ),
    **_layers(
        Kind.AFFINE,
        "MLP=mlp in_channels hidden_channels norm_layer=None activation_layer inplace bias=True dropout=0.0",
        library="torchvision.ops",
        mode=True,
        mode_off=_OFF_DROPOUT,
    ),
    **_layers(
        Kind.AFFINE,
        "DeformConv2d=deform_conv2d in_channels out_channels kernel_size stride=1 padding=0 dilation=1 groups=1 bias=True",
        library="torchvision.ops",
        out="out_channels",
    ),
    **_layers(Kind.NORM, "FrozenBatchNorm2d=frozen_batch_norm num_features eps", library="torchvision.ops", out="num_features"),
    **_layers(Kind.KEEP, "StochasticDepth=dropout p mode", library="torchvision.ops", mode=True, mode_off="p=0"),
    **_layers(
        Kind.KEEP,
        "DropBlock2d=dropout p block_size inplace eps\nDropBlock3d=dropout p block_size inplace eps",
        library="torchvision.ops",
        mode=True,
        mode_off="p=0",
    ),
    **_layers(Kind.KEEP, "Permute=permute dims", library="torchvision.ops"),
    **_layers(Kind.POOL, "RoIPool=roi_pool output_size spatial_scale", library="torchvision.ops"),
    **_layers(Kind.RESAMPLE, "RoIAlign=roi_align output_size spatial_scale sampling_ratio aligned", library="torchvision.ops"),
    **_layers(
        Kind.ARITHMETIC, "SqueezeExcitation=squeeze_excitation input_channels squeeze_channels activation", library="torchvision.ops"
    ),
}

_TIMM: dict[str, Layer] = {
    **_layers(Kind.KEEP, "DropPath=dropout drop_prob=0.0 scale_by_keep", library="timm.layers", mode=True, mode_off="drop_prob=0"),
    **_layers(Kind.KEEP, "DropBlock2d=dropout drop_prob=0.1 block_size", library="timm.layers", mode=True, mode_off="drop_prob=0"),
    **_layers(
        Kind.AFFINE,
        "Mlp=mlp in_features hidden_features out_features act_layer norm_layer=None bias=True drop=0.0",
        library="timm.layers",
        mode=True,
        mode_off="drop=0",
        out="out_features",
    ),
    **_layers(Kind.AFFINE, "PatchEmbed=patch_embed img_size patch_size in_chans embed_dim=768", library="timm.layers", out="embed_dim"),
    **_layers(Kind.NORM, "LayerNorm=layer_norm num_channels eps\nLayerNorm2d=layer_norm num_channels eps", library="timm.layers"),
    **_layers(Kind.NORM, "GroupNorm=group_norm num_channels num_groups=32 eps", library="timm.layers"),
    **_layers(Kind.POOL, "SelectAdaptivePool2d=adaptive_pool2d output_size pool_type flatten", library="timm.layers"),
    **_layers(
        Kind.ACTIVATION,
        "BatchNormAct2d=batch_norm_act num_features eps momentum affine=True track_running_stats=True apply_act=True act_layer",
        library="timm.layers",
        mode=True,
        mode_off="track_running_stats=False",
        cancels_bias=True,
        out="num_features",
    ),
    **_layers(
        Kind.ACTIVATION,
        "ConvNormAct=conv_norm_activation in_channels out_channels kernel_size=1 stride=1\n"
        "ConvBnAct=conv_norm_activation in_channels out_channels kernel_size=1 stride=1",
        library="timm.layers",
        mode=True,
        out="out_channels",
    ),
}

_GEOMETRIC: dict[str, Layer] = {
    **_layers(
        Kind.AFFINE,
        """
        Linear=linear in_channels out_channels bias=True
        GCNConv=graph_conv in_channels out_channels improved cached add_self_loops normalize bias=True
        SAGEConv=graph_conv in_channels out_channels aggr normalize root_weight project bias=True
        GraphConv=graph_conv in_channels out_channels aggr bias=True
        ChebConv=graph_conv in_channels out_channels K normalization bias=True
        TAGConv=graph_conv in_channels out_channels K=3 bias=True
        SGConv=graph_conv in_channels out_channels K=1 cached add_self_loops bias=True
        RGCNConv=graph_conv in_channels out_channels num_relations
        NNConv=graph_conv in_channels out_channels nn
        GatedGraphConv=graph_conv out_channels num_layers
        """,
        library="torch_geometric.nn",
        out="out_channels",
    ),
    **_layers(
        Kind.AFFINE,
        """
        GATConv=graph_conv in_channels out_channels heads=1 concat=True negative_slope=0.2 dropout=0.0
        GATv2Conv=graph_conv in_channels out_channels heads=1 concat=True negative_slope=0.2 dropout=0.0
        TransformerConv=graph_conv in_channels out_channels heads=1 concat=True beta=False dropout=0.0
        """,
        library="torch_geometric.nn",
        mode=True,
        mode_off=_OFF_DROPOUT,
        out="out_channels",
    ),
    # these end in the network they are given
    **_layers(
        Kind.AFFINE,
        "GINConv=graph_conv nn eps train_eps\nGINEConv=graph_conv nn eps train_eps\nEdgeConv=graph_conv nn aggr",
        library="torch_geometric.nn",
        mode=True,
        holds="nn",
    ),
    **_layers(Kind.ARITHMETIC, "APPNP=propagate K alpha dropout=0.0", library="torch_geometric.nn", mode=True, mode_off=_OFF_DROPOUT),
    **_layers(
        Kind.NORM,
        "BatchNorm=batch_norm in_channels " + _STATISTICS.format(affine=True, tracked=True) + "\n"
        "InstanceNorm=instance_norm in_channels " + _STATISTICS.format(affine=False, tracked=False),
        library="torch_geometric.nn",
        mode=True,
        mode_off="track_running_stats=False",
        cancels_bias=True,
        out="in_channels",
    ),
    **_layers(
        Kind.NORM,
        """
        LayerNorm=layer_norm in_channels eps affine=True mode=graph
        GraphNorm=graph_norm in_channels eps
        PairNorm=pair_norm scale scale_individually eps
        """,
        library="torch_geometric.nn",
    ),
}

_OTHERS: dict[str, Layer] = {
    **_layers(
        Kind.NORM,
        "SyncBatchNorm=batch_norm num_features " + _STATISTICS.format(affine=True, tracked=True),
        library="apex.parallel",
        mode=True,
        mode_off="track_running_stats=False",
        cancels_bias=True,
        out="num_features",
    ),
    **_layers(
        Kind.NORM,
        "FusedLayerNorm=layer_norm normalized_shape eps elementwise_affine=True\n"
        "FusedRMSNorm=rms_norm normalized_shape eps elementwise_affine=True",
        library="apex.normalization",
    ),
    **_layers(Kind.KEEP, "Rearrange=rearrange pattern", library="einops.layers.torch"),
    **_layers(Kind.REDUCE, "Reduce=einops.reduce pattern reduction", library="einops.layers.torch"),
    **_layers(Kind.AFFINE, "EinMix=einmix pattern weight_shape bias_shape=None", library="einops.layers.torch"),
    **_layers(
        Kind.PROBABILITY,
        "Sparsemax=sparsemax dim=-1\nEntmax15=entmax15 dim=-1",
        library="entmax",
    ),
    **_layers(Kind.KEEP, "DropPath=dropout drop_prob=0.0", library="monai.networks.layers", mode=True, mode_off="drop_prob=0"),
}

LAYERS: dict[str, Layer] = _TORCH | _TORCHVISION | _TIMM | _GEOMETRIC | _OTHERS
