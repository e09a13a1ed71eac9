"""Losses: what each wants as its input, by the qualified name of its class or function."""

from __future__ import annotations

from nnlint.knowledge.schema import Loss, Wants

_OLD = ("size_average", "reduce")  # deprecated, but still positional
_WEIGHTED = ("weight", *_OLD, "reduction")
_PLAIN = (*_OLD, "reduction")
_INDEXED = ("weight", "size_average", "ignore_index", "reduce", "reduction")
_PAIR = ("input", "target")
_TWO = ("input1", "input2", "target")
_TRIPLET = ("anchor", "positive", "negative")
_CTC = ("log_probs", "targets", "input_lengths", "target_lengths")


def _both(
    loss: str,
    function: str,
    wants: Wants,
    params: tuple[str, ...] = _PAIR,
    constructor: tuple[str, ...] = (),
    call: tuple[str, ...] = (),
    activation: str = "",
    needs: str = "",
    multiclass: bool = False,
) -> dict[str, Loss]:
    """The class and the function of a loss of torch.nn. `call`: the function's parameters after `params`, by default the constructor's."""
    as_class = Loss(function, wants, params, constructor, activation, needs, multiclass)
    as_function = Loss(function, wants, params + (call or constructor), (), activation, needs, multiclass)
    return {f"torch.nn.{loss}": as_class, f"torch.nn.functional.{function}": as_function}


def _call(name: str, wants: Wants, params: str, activation: str = "", needs: str = "", multiclass: bool = False) -> Loss:
    return Loss(name, wants, tuple(params.split()), (), activation, needs, multiclass)


def _class(name: str, wants: Wants, constructor: str, activation: str = "", params: str = "input target", multiclass: bool = False) -> Loss:
    return Loss(name, wants, tuple(params.split()), tuple(constructor.split()), activation, "", multiclass)


_LOGITS, _LOG_PROBABILITIES, _PROBABILITIES, _ANY = Wants.LOGITS, Wants.LOG_PROBABILITIES, Wants.PROBABILITIES, Wants.ANY
_NLL = Loss("nll_loss", _LOG_PROBABILITIES, _PAIR, _INDEXED, needs="log_softmax", multiclass=True)
_LINEAR_CE = "in_features num_classes out_features bias device dtype reduction weight ignore_index label_smoothing"
_LINEAR_CE_CALL = "input linear_weight target linear_bias weight reduction ignore_index label_smoothing options"

LOSSES: dict[str, Loss] = {
    # classification
    **_both("CrossEntropyLoss", "cross_entropy", _LOGITS, _PAIR, (*_INDEXED, "label_smoothing"), activation="softmax", multiclass=True),
    **_both("NLLLoss", "nll_loss", _LOG_PROBABILITIES, _PAIR, _INDEXED, needs="log_softmax", multiclass=True),
    "torch.nn.NLLLoss2d": _NLL,
    **_both("BCELoss", "binary_cross_entropy", _PROBABILITIES, _PAIR, _WEIGHTED, needs="sigmoid"),
    **_both("BCEWithLogitsLoss", "binary_cross_entropy_with_logits", _LOGITS, _PAIR, (*_WEIGHTED, "pos_weight"), activation="sigmoid"),
    **_both("KLDivLoss", "kl_div", _LOG_PROBABILITIES, _PAIR, (*_PLAIN, "log_target"), needs="log_softmax"),
    **_both("MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss", _LOGITS, _PAIR, _WEIGHTED, activation="sigmoid"),
    **_both("SoftMarginLoss", "soft_margin_loss", _LOGITS, _PAIR, _PLAIN, activation="sigmoid"),
    **_both("MultiMarginLoss", "multi_margin_loss", _LOGITS, _PAIR, ("p", "margin", *_WEIGHTED)),
    **_both("MultiLabelMarginLoss", "multilabel_margin_loss", _LOGITS, _PAIR, _PLAIN),
    **_both("CTCLoss", "ctc_loss", _LOG_PROBABILITIES, _CTC, ("blank", "reduction", "zero_infinity"), needs="log_softmax"),
    # these two apply a linear layer of their own to hidden features
    "torch.nn.AdaptiveLogSoftmaxWithLoss": _class(
        "adaptive_log_softmax_with_loss", _ANY, "in_features n_classes cutoffs div_value head_bias", "softmax", "input_ target_"
    ),
    "torch.nn.LinearCrossEntropyLoss": _class("linear_cross_entropy", _ANY, _LINEAR_CE, "softmax"),
    "torch.nn.functional.linear_cross_entropy": _call("linear_cross_entropy", _ANY, _LINEAR_CE_CALL, "softmax"),
    # regression, embedding and ranking: no claim
    **_both("MSELoss", "mse_loss", _ANY, _PAIR, _PLAIN, (*_PLAIN, "weight")),
    **_both("L1Loss", "l1_loss", _ANY, _PAIR, _PLAIN, (*_PLAIN, "weight")),
    **_both("SmoothL1Loss", "smooth_l1_loss", _ANY, _PAIR, (*_PLAIN, "beta")),
    **_both("HuberLoss", "huber_loss", _ANY, _PAIR, ("reduction", "delta"), ("reduction", "delta", "weight")),
    **_both("GaussianNLLLoss", "gaussian_nll_loss", _ANY, (*_PAIR, "var"), ("full", "eps", "reduction")),
    **_both("HingeEmbeddingLoss", "hinge_embedding_loss", _ANY, _PAIR, ("margin", *_PLAIN)),
    **_both("MarginRankingLoss", "margin_ranking_loss", _ANY, _TWO, ("margin", *_PLAIN)),
    **_both("CosineEmbeddingLoss", "cosine_embedding_loss", _ANY, _TWO, ("margin", *_PLAIN)),
    **_both("TripletMarginLoss", "triplet_margin_loss", _ANY, _TRIPLET, ("margin", "p", "eps", "swap", *_PLAIN)),
    **_both(
        "TripletMarginWithDistanceLoss",
        "triplet_margin_with_distance_loss",
        _ANY,
        _TRIPLET,
        ("distance_function", "margin", "swap", "reduction"),
    ),
    "torch.nn.PoissonNLLLoss": _class(  # log_input=True: exponentiates its input, which is then the unbounded log of the rate
        "poisson_nll_loss", _ANY, "log_input full size_average eps reduce reduction", params="log_input target"
    ),
    "torch.nn.functional.poisson_nll_loss": _call(
        "poisson_nll_loss", _ANY, "input target log_input full size_average eps reduce reduction"
    ),
    # the native functions behind them, with their own order of parameters
    "torch.binary_cross_entropy_with_logits": _call(
        "binary_cross_entropy_with_logits", _LOGITS, "input target weight pos_weight reduction", "sigmoid"
    ),
    "torch.kl_div": _call("kl_div", _LOG_PROBABILITIES, "input target reduction log_target", needs="log_softmax"),
    "torch.ctc_loss": _call(
        "ctc_loss", _LOG_PROBABILITIES, "log_probs targets input_lengths target_lengths blank reduction zero_infinity", needs="log_softmax"
    ),
    "torch.cosine_embedding_loss": _call("cosine_embedding_loss", _ANY, "input1 input2 target margin reduction"),
    "torch.hinge_embedding_loss": _call("hinge_embedding_loss", _ANY, "input target margin reduction"),
    "torch.margin_ranking_loss": _call("margin_ranking_loss", _ANY, "input1 input2 target margin reduction"),
    "torch.triplet_margin_loss": _call("triplet_margin_loss", _ANY, "anchor positive negative margin p eps swap reduction"),
    "torch.poisson_nll_loss": _call("poisson_nll_loss", _ANY, "input target log_input full eps reduction"),
    # libraries
    "torchvision.ops.sigmoid_focal_loss": _call("sigmoid_focal_loss", _LOGITS, "inputs targets alpha gamma reduction", "sigmoid"),
    "torchvision.ops.generalized_box_iou_loss": _call("box_iou_loss", _ANY, "boxes1 boxes2 reduction eps"),
    "torchvision.ops.distance_box_iou_loss": _call("box_iou_loss", _ANY, "boxes1 boxes2 reduction eps"),
    "torchvision.ops.complete_box_iou_loss": _call("box_iou_loss", _ANY, "boxes1 boxes2 reduction eps"),
    "timm.loss.LabelSmoothingCrossEntropy": _class(
        "label_smoothing_cross_entropy", _LOGITS, "smoothing", "softmax", "x target", multiclass=True
    ),
    "timm.loss.SoftTargetCrossEntropy": _class("soft_target_cross_entropy", _LOGITS, "", "softmax", "x target"),
    "timm.loss.BinaryCrossEntropy": _class(
        "binary_cross_entropy_with_logits", _LOGITS, "smoothing target_threshold weight reduction sum_classes", "sigmoid", "x target"
    ),
    "timm.loss.AsymmetricLossMultiLabel": _class("asymmetric_loss", _LOGITS, "gamma_neg gamma_pos clip eps", "sigmoid", "x y"),
    "timm.loss.AsymmetricLossSingleLabel": _class(
        "asymmetric_loss", _LOGITS, "gamma_pos gamma_neg eps reduction", "softmax", "inputs target"
    ),
    "kornia.losses.focal_loss": _call("focal_loss", _LOGITS, "pred target alpha gamma reduction weight ignore_index", "softmax"),
    "kornia.losses.FocalLoss": _class("focal_loss", _LOGITS, "alpha gamma reduction weight ignore_index", "softmax", "pred target"),
    "kornia.losses.binary_focal_loss_with_logits": _call(
        "binary_focal_loss", _LOGITS, "pred target alpha gamma reduction pos_weight weight ignore_index", "sigmoid"
    ),
    "kornia.losses.BinaryFocalLossWithLogits": _class(
        "binary_focal_loss", _LOGITS, "alpha gamma reduction pos_weight weight ignore_index", "sigmoid", "pred target"
    ),
    "segmentation_models_pytorch.losses.FocalLoss": _class(
        "focal_loss", _LOGITS, "mode alpha gamma ignore_index reduction normalized reduced_threshold", "sigmoid", "y_pred y_true"
    ),
    "segmentation_models_pytorch.losses.SoftBCEWithLogitsLoss": _class(
        "binary_cross_entropy_with_logits", _LOGITS, "weight ignore_index reduction smooth_factor pos_weight", "sigmoid", "y_pred y_true"
    ),
    "segmentation_models_pytorch.losses.SoftCrossEntropyLoss": _class(
        "cross_entropy", _LOGITS, "reduction smooth_factor ignore_index dim", "softmax", "y_pred y_true", multiclass=True
    ),
}
