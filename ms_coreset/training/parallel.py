"""Data-parallel training: each rank goes through its share of every batch, and all make the same update."""

import numpy as np


def over_ranks(local, network, parameters, ranks):
    """``local``, a function (images, labels, weights) -> (loss, logits, gradients), for batches shared by ``ranks``.

    It is given the rank's images and the whole batch's labels and weights (None: all 1). With w_r the weights' sum of
    rank r's share, loss and gradients are sum_r w_r l_r / sum_r w_r: those of the whole batch, but for the order in
    which float32 numbers are summed and for batch normalisation, which sees the share. Logits are the whole batch's.

    One exchange a batch, of all parameters and logits and two numbers more.
    """
    from mindspore import Tensor, ops

    sizes = [int(np.prod(parameter.shape)) for parameter in parameters]

    def of_share(images, labels, weights, share):
        own = None if weights is None else weights[share]
        mass = float(share.stop - share.start if own is None else own.sum())
        answers = ops.zeros((len(labels), network.head.out_channels))
        if not mass:
            return [ops.zeros(sum(sizes) + 2), answers.reshape(-1)]
        loss, logits, gradients = local(images, labels[share], own)
        around = [answers[:share.start], logits, answers[share.stop:]]
        return [*(mass * gradient.reshape(-1) for gradient in gradients), mass * loss.reshape(1),
                Tensor(np.array([mass], np.float32)), *(part.reshape(-1) for part in around if len(part))]

    def of_batch(images, labels, weights):
        total = ranks.sum(ops.concat(of_share(images, labels, weights, ranks.part(len(labels)))))
        borders = np.cumsum([0, *sizes]).tolist()
        end = borders[-1]
        mass = total[end + 1]
        gradients = [(total[begin:stop] / mass).reshape(parameter.shape)
                     for parameter, begin, stop in zip(parameters, borders, borders[1:], strict=False)]
        return total[end] / mass, total[end + 2:].reshape(len(labels), -1), gradients

    return local if ranks.size == 1 else of_batch


def average_statistics(network, ranks):
    """Give all ranks the mean of their batch normalisations' running statistics."""
    from mindspore import ops

    statistics = [parameter for parameter in network.get_parameters() if not parameter.requires_grad]
    if ranks.size == 1 or not statistics:
        return
    mean = ranks.sum(ops.concat([parameter.reshape(-1) for parameter in statistics])) / ranks.size
    borders = np.cumsum([0, *(int(np.prod(parameter.shape)) for parameter in statistics)]).tolist()
    for parameter, begin, end in zip(statistics, borders, borders[1:], strict=False):
        ops.assign(parameter, mean[begin:end].reshape(parameter.shape))
