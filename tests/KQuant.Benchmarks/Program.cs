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
else
{
    BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
}
