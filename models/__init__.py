"""Latent vector recovery of audio GANs: what a notebook or another project would import."""
