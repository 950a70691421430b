"""Every page of the dashboard, by what it shows; and the states that some of them have besides."""

PAGES = {
    "studies": "/studies",
    "study": "/studies/digits?color=macs&infeasible=yes",
    "analyse": "/studies/digits/analyse?brush=accuracy:0.9..0.96",
    "candidates": "/studies/cifar10-sweep/candidates",
    "candidate": "/studies/digits/candidates/1",
    "new study": "/studies/new",
    "compare": "/compare",
    "compare candidates": "/compare?candidate=std_1/1&candidate=std_1/18",
    "workers": "/workers",
    "tokens": "/settings",
    "webhooks": "/settings?show=webhooks",
    "storage": "/settings?show=storage",
    "audit": "/settings?show=audit",
    "about": "/settings?show=about",
    "login": "/login",
}

STATES = {
    "no study fits": "/studies?q=nothing",
    "running study": "/studies/fashion-mnist-edge",
    "large study": "/studies/cifar10-sweep",
    "failed study": "/studies/std_4",
    "nothing feasible": "/studies/too-tight",
    "queued study": "/studies/svhn-night",
    "untrained candidate": "/studies/too-tight/candidates/3",
    "clone": "/studies/new?from=std_1",
    "own images": "/studies/new?template=npz",
    "compare studies": "/compare?study=std_1&study=std_2&study=std_7",
}
