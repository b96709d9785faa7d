namespace KQuant.Models.Products;

/// <summary>Sees what a model multiplies its weights with.</summary>
internal interface IProductObserver
{
    /// <summary>Called before each product.</summary>
    /// <param name="weight">The weight, with its name.</param>
    /// <param name="input">The rows of x, and for a stack which of its matrices each row meets. Valid during the call.</param>
    void Observe(ModelWeight weight, in ProductInput input);
}
