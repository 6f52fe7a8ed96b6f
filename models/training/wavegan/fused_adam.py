"""Adam as one operation a variable. Keras's own makes about ten passes over the memory, which on a CPU costs as much as
a small network does."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("latent_vector_recovery")
class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam, to rounding, without its options `amsgrad`, weight decay and clipping; for the TensorFlow
    backend."""

    def update_step(self, gradient, variable, learning_rate):
        """Changes one variable and its moments in place."""
        index = self._get_variable_index(variable)
        time = ops.cast(self.iterations + 1, "float32")
        variables = {"var": variable, "m": self._momentums[index], "v": self._velocities[index]}
        tf.raw_ops.ResourceApplyAdam(
            **{
                name: getattr(v, "_value", v).handle for name, v in variables.items()
            },  # a Keras variable, or TensorFlow's within it
            beta1_power=self.beta_1**time,
            beta2_power=self.beta_2**time,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
