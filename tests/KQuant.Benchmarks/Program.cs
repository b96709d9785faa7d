using System.Globalization;
using BenchmarkDotNet.Running;
using KQuant.Benchmarks;

if (args is ["random-model", var folder])
{
    RandomModel.Write(folder);
}
else if (args is ["attention"])
{
    AttentionBandwidth.Run(Console.Out);
}
else if (args is ["search", var rows, var threads])
{
    VectorSearch.Run(int.Parse(rows, CultureInfo.InvariantCulture), int.Parse(threads, CultureInfo.InvariantCulture), Console.Out);
}
else
{
    BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
}
