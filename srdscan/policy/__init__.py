"""The learned policy: which perturbation of an image makes the captioner honest again.

actions.py   what can be done to an image
episodes.py  images being repaired side by side, and what the policy sees of them
qnet.py      the Q-network
store.py     the policy file
env.py       the episodes as a stable-baselines3 environment (extra `train`)
dqn.py       double DQN on stable-baselines3 (extra `train`)
"""
