"""The settings of gLocal where none are given: of the estimator, of `glocal fit`, and of the demo of `glocal demo`.

Of the settings that were tried on all six networks with human judgments (figures/clip-b32 and figures/imagenet), they are the
best by the rule that chose each network's own: held-out triplet loss plus local KL. ALPHA and TAU are those that the rule took
for every network; of lam it took 0.1 (CLIP, BLIP), 0.3 (CVCL) and 1 (EfficientNets). A test compares them with the tables.
"""

LAM = 0.3  # weight of the regulariser; the paper's CLIP optimum is 0.1
ALPHA = 0.5  # share of the local loss; the paper's CLIP optimum is 0.1
TAU = 0.1  # temperature of the local loss; the paper's CLIP optimum is 1
