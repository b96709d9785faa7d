namespace KQuant.Cli.Benchmarks.Limits;

/// <summary>How many products of bytes are added up in 16 bits before they are widened, as a type, so that loops over it are unrolled.</summary>
internal interface ISteps
{
    static abstract int Count { get; }
}

internal readonly struct Steps1 : ISteps
{
    public static int Count => 1;
}

internal readonly struct Steps2 : ISteps
{
    public static int Count => 2;
}

internal readonly struct Steps4 : ISteps
{
    public static int Count => 4;
}

internal readonly struct Steps8 : ISteps
{
    public static int Count => 8;
}
