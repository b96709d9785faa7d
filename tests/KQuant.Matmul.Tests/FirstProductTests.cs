using System.Reflection;
using System.Runtime.Loader;
using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>
/// The first product of a program: nothing is compiled, no table is filled and no thread runs. Assemblies that are loaded a second time are
/// such a program.
/// </summary>
public class FirstProductTests
{
    private const int Rows = 5, Outputs = 37;

    private static IEnumerable<QuantCodec> Codecs => QuantCodec.All.Where(codec => codec.Planes.Length == 1);

    [TestCaseSource(nameof(Codecs))]
    public void HasTheBitsOfAnyOther(QuantCodec codec)
    {
        int columns = Contexts.ColumnsOf(codec);
        QuantizedTensor weights = RandomTensors.Create(codec, new QuantShape(Outputs, columns));
        byte[] bytes = RandomTensors.BytesOf(weights);
        float[] x = Numbers.Gaussian(Rows * columns, 1);
        float[] expected = Compute(codec.Name, bytes, x, columns);

        var fresh = new FreshCopy();
        try
        {
            MethodInfo compute = fresh.LoadFromAssemblyPath(typeof(FirstProductTests).Assembly.Location)
                .GetType(typeof(FirstProductTests).FullName!, throwOnError: true)!
                .GetMethod(nameof(Compute), BindingFlags.Static | BindingFlags.NonPublic)!;
            Assert.That(compute.DeclaringType, Is.Not.EqualTo(typeof(FirstProductTests)), "it is another program");
            var compute2 = compute.CreateDelegate<Func<string, byte[], float[], int, float[]>>();

            // Several threads begin at once.
            float[][] first = new float[4][];
            Parallel.For(0, first.Length, i => first[i] = compute2(codec.Name, bytes, x, columns));
            Assert.That(first, Has.All.EqualTo(expected));
        }
        finally
        {
            fresh.Unload();
        }

        Assert.That(Numbers.Nmse(expected, ReferenceProduct.Multiply(weights, x)), Is.LessThan(2e-4));
    }

    private static float[] Compute(string codec, byte[] bytes, float[] x, int columns)
    {
        Assert.That(QuantCodec.TryParse(codec, out QuantCodec? parsed));
        using QuantizedTensor weights = QuantizedTensor.FromMemory(parsed!, new QuantShape(Outputs, columns), bytes);
        using MatmulContext context = Contexts.Create();
        return context.Multiply(weights, x);
    }

    private sealed class FreshCopy() : AssemblyLoadContext("fresh", isCollectible: true)
    {
        protected override Assembly? Load(AssemblyName assemblyName)
        {
            string path = Path.Combine(AppContext.BaseDirectory, assemblyName.Name + ".dll");
            return assemblyName.Name!.StartsWith("KQuant", StringComparison.Ordinal) ? LoadFromAssemblyPath(path) : null;
        }
    }
}
