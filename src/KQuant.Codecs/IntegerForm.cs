namespace KQuant.Codecs;

/// <summary>How products with int8 activations see a format once it is unpacked.</summary>
/// <param name="Scheme">Grouping of the activations. With <see cref="ActivationScheme.Block32"/> there is a float scale for every 32 weights.</param>
/// <param name="HasMin">Whether there is a minimum term.</param>
/// <param name="SubBlock">Weights that share an integer scale, 16 or 32 (<see cref="ActivationScheme.Block256"/> only).</param>
internal readonly record struct IntegerForm(ActivationScheme Scheme, bool HasMin, int SubBlock = 32);
