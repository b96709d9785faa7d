using System.Runtime.InteropServices;

namespace KQuant.Cli.Benchmarks.Limits;

/// <summary>Measures what no product on this machine can exceed: reading memory, and multiplying operands that are in registers and cache already.</summary>
internal sealed unsafe class LimitBenchmark : IDisposable
{
    private const int PassesPerRepetition = 1000;

    private readonly List<Team> _teams = [];
    private readonly List<(int Threads, Contender Contender)> _memory = [];
    private readonly List<(int Threads, InstructionChain Chain, Contender Contender)> _chains = [];
    private readonly nint _readBytes;
    private readonly int _parts;
    private readonly byte* _operands;

    /// <summary>Prepares measurements.</summary>
    /// <param name="memory">Memory that no cache holds, 64-byte aligned; it is only read.</param>
    /// <param name="bytes">How much.</param>
    /// <param name="chains">The chains to measure; the machine runs them.</param>
    /// <param name="threads">Numbers of threads.</param>
    public LimitBenchmark(byte* memory, nint bytes, IEnumerable<InstructionChain> chains, IEnumerable<int> threads)
    {
        int[] counts = [.. threads.Distinct().Order()];
        _parts = counts[^1];
        _readBytes = bytes / _parts / MemoryRead.Granule * MemoryRead.Granule;
        _operands = AllocateOperands(_parts);
        foreach (int count in counts)
        {
            var team = new Team(count);
            _teams.Add(team);
            _memory.Add((count, new Contender($"memory, {count} threads", repetitions => team.Run(member =>
            {
                for (int i = 0; i < repetitions; i++)
                {
                    MemoryRead.Sum(memory + ((member + i) % _parts * _readBytes), _readBytes);
                }
            }))));
            foreach (InstructionChain chain in chains)
            {
                _chains.Add((count, chain, new Contender($"{chain}, {count} threads", repetitions => team.Run(member =>
                    chain.Run(_operands + (member * InstructionChain.OperandBytes), PassesPerRepetition * repetitions)))));
            }
        }
    }

    /// <summary>What has to take part in a <see cref="Contest"/>.</summary>
    public IEnumerable<Contender> Contenders => [.. _memory.Select(item => item.Contender), .. _chains.Select(item => item.Contender)];

    /// <summary>GB/s that so many threads read together.</summary>
    public double MemoryGBps(int threads) =>
        threads * (double)_readBytes / _memory.Single(item => item.Threads == threads).Contender.BestSeconds / 1e9;

    /// <summary>Billions of operations per second that so many threads do together.</summary>
    public double Gops(InstructionChain chain, int threads) =>
        threads * (double)PassesPerRepetition * chain.OperationsPerPass
            / _chains.Single(item => item.Threads == threads && item.Chain == chain).Contender.BestSeconds / 1e9;

    public void Dispose()
    {
        _teams.ForEach(team => team.Dispose());
        NativeMemory.AlignedFree(_operands);
    }

    // Random codes that are ordinary numbers when read as floats.
    private static byte* AllocateOperands(int threads)
    {
        const uint ExponentMask = 0x7F80_0000, ExponentOfOne = 0x3F80_0000;
        int bytes = threads * InstructionChain.OperandBytes;
        void* operands = NativeMemory.AlignedAlloc((nuint)bytes, 64);
        var random = new Random(1);
        random.NextBytes(new Span<byte>(operands, bytes));
        foreach (ref uint word in new Span<uint>(operands, bytes / sizeof(uint)))
        {
            word = (word & ~ExponentMask) | ExponentOfOne;
        }

        return (byte*)operands;
    }
}
