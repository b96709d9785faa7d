namespace KQuant.Matmul.Products;

/// <summary>What is done with a matrix.</summary>
internal enum ProductKind
{
    /// <summary><c>y = x W^T</c>, with the activations of the context's options.</summary>
    Forward,

    /// <summary><c>y = x W^T</c> in float32: the gradient of <see cref="Transposed"/>.</summary>
    ForwardInFloat,

    /// <summary><c>y = x W</c>, always in float32: the gradient of <see cref="Forward"/>.</summary>
    Transposed,
}
