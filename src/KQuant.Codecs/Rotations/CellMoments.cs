namespace KQuant.Codecs.Rotations;

/// <summary>What a codebook has to know of a distribution: the mass, the mean and the spread of what lies between two numbers.</summary>
internal abstract class CellMoments
{
    /// <summary>Where it begins.</summary>
    public abstract double Low { get; }

    /// <summary>Where it ends.</summary>
    public abstract double High { get; }

    /// <summary>Numbers that divide it well, as many as centroids are wanted.</summary>
    /// <param name="count">How many.</param>
    /// <param name="place">Where in its share each lies, from 0 to 1.</param>
    public abstract double[] GetStart(int count, double place);

    /// <summary>The integrals of 1, x and x² over what lies in [from, to).</summary>
    public abstract (double Mass, double First, double Second) Integrate(double from, double to);

    /// <summary>The density at a number; 0 where there is none to speak of, for samples.</summary>
    public abstract double GetDensity(double value);
}
