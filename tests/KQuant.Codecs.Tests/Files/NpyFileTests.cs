using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using KQuant.Codecs.Files;
using KQuant.TestKit;
using PropertyAttribute = FsCheck.NUnit.PropertyAttribute;

namespace KQuant.Codecs.Tests.Files;

public class NpyFileTests
{
    private const string Plain = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void WritesWhatNumPyWrites()
    {
        // numpy.save("x.npy", numpy.array([[1, 2, 3], [4, 5, 6]], dtype="float32")): the data begins at byte 128.
        float[] values = [1, 2, 3, 4, 5, 6];
        NpyFile.Write(_folder["x.npy"], [2, 3], values);

        byte[] expected =
        [
            0x93, .. "NUMPY"u8, 1, 0, 118, 0,
            .. System.Text.Encoding.ASCII.GetBytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".PadRight(117) + "\n"),
            .. MemoryMarshal.AsBytes(values.AsSpan()),
        ];
        Assert.That(File.ReadAllBytes(_folder["x.npy"]), Is.EqualTo(expected));
    }

    [Property(MaxTest = 50, QuietOnSuccess = true)]
    public Property WhatIsWrittenIsRead()
    {
        Gen<(ElementType, long[], byte[])> arrays =
            from type in Gen.Elements(
                ElementType.F32, ElementType.F16, ElementType.F64, ElementType.I8, ElementType.I16, ElementType.I32, ElementType.I64,
                ElementType.U8, ElementType.U16, ElementType.U32, ElementType.U64, ElementType.BOOL)
            from shape in Gen.Choose(0, 5).ListOf()
            where shape.Count < 6
            let dimensions = shape.Select(dimension => (long)dimension).ToArray()
            from data in Gen.Choose(0, 255).ArrayOf((int)dimensions.Aggregate(type.GetBits() / 8L, (a, b) => a * b))
            select (type, dimensions, data.Select(value => (byte)value).ToArray());

        return Prop.ForAll(arrays.ToArbitrary(), array =>
        {
            (ElementType type, long[] shape, byte[] data) = array;
            using var folder = new TemporaryFolder();
            NpyFile.Write(folder["x.npy"], type, shape, stream => stream.Write(data));
            using NpyFile file = NpyFile.Open(folder["x.npy"]);
            Assert.That(file.ElementType, Is.EqualTo(type));
            Assert.That(file.Shape, Is.EqualTo(shape));
            Assert.That(file.UnsafeGetBytes(0, data.Length).ToArray(), Is.EqualTo(data));
        });
    }

    [Test]
    public void FloatsAreWeights()
    {
        NpyFile.Write(_folder["x.npy"], [2, 1, 3], (float[])[1, 2, 3, 4, 5, 6]);
        using NpyFile file = NpyFile.Open(_folder["x.npy"]);
        using QuantizedTensor weights = file.AsWeights();
        var row = new float[3];
        weights.DecodeRow(1, row);

        Assert.That(weights.Shape, Is.EqualTo(QuantShape.Stack(2, 1, 3)));
        Assert.That(row, Is.EqualTo([4f, 5, 6]));
        NpyFile.Write(_folder["i.npy"], ElementType.I32, [1], stream => stream.Write(new byte[4]));
        using NpyFile integers = NpyFile.Open(_folder["i.npy"]);
        Assert.Throws<NotSupportedException>(() => integers.AsWeights());
    }

    [TestCase(1, Plain)]
    [TestCase(2, Plain)]
    [TestCase(3, Plain)]
    [TestCase(1, "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}")]
    [TestCase(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (6,), }")]
    public void AcceptsWhatNumPyAccepts(int major, string header)
    {
        using NpyFile file = NpyFile.Open(_folder.Write("x.npy", Build(major, header, 24)));

        Assert.That(file.ElementType, Is.EqualTo(ElementType.F32));
        Assert.That(file.ByteCount, Is.EqualTo(24));
    }

    [TestCase("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", "'>f4'")]
    [TestCase("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", "'|O'")]
    [TestCase("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }", "string")]
    [TestCase("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", "Fortran")]
    [TestCase("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3), }", "neither")]
    [TestCase("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3), }", "whole number")]
    [TestCase("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3 }", "missing")]
    [TestCase("{'descr': '<f4', 'fortran_order': False, 'shape': 6, }", "missing")]
    [TestCase("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "whole number")]
    [TestCase("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", "does not take")]
    [TestCase("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", "does not take")]
    [TestCase("{'descr': '<f4', 'fortran_order': False, }", "missing")]
    [TestCase("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", "twice")]
    [TestCase("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}", "unknown")]
    [TestCase("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x", "follows")]
    [TestCase("__import__('os')", "missing")]
    [TestCase("", "missing")]
    public void RefusesOtherHeaders(string header, string message)
    {
        string path = _folder.Write("x.npy", Build(1, header, 24));

        Assert.That(() => NpyFile.Open(path), Throws.TypeOf<ModelFormatException>().With.Message.Contains(message));
    }

    [Test]
    public void TruncationAndTrailingBytesAreRefused()
    {
        byte[] whole = Build(1, Plain, 24);
        for (int length = 0; length < whole.Length; length++)
        {
            string path = _folder.Write("x.npy", whole.AsSpan(0, length));
            Assert.Throws<ModelFormatException>(() => NpyFile.Open(path), $"{length} bytes");
        }

        Assert.Throws<ModelFormatException>(() => NpyFile.Open(_folder.Write("x.npy", [.. whole, 0])));
        Assert.Throws<ModelFormatException>(() => NpyFile.Open(_folder.Write("x.npy", Build(4, Plain, 24))));
    }

    [Test]
    public void MutatedFilesGiveArraysOrOneKindOfException()
    {
        byte[] whole = Build(1, Plain, 24);
        var random = new Random(42);
        for (int i = 0; i < 1000; i++)
        {
            string path = _folder.Write("x.npy", Mutation.Apply(random, whole));
            try
            {
                using NpyFile file = NpyFile.Open(path);
                Assert.That(file.UnsafeGetBytes(0, (int)file.ByteCount).Length, Is.EqualTo(file.ByteCount));
            }
            catch (ModelFormatException)
            {
            }
        }
    }

    [Test]
    public void ImpossibleArraysAreArgumentErrors()
    {
        Assert.Throws<ArgumentException>(() => NpyFile.Write(_folder["x.npy"], ElementType.BF16, [1], _ => { }));
        Assert.Throws<ArgumentException>(() => NpyFile.Write(_folder["x.npy"], [2, 2], new float[3]));
        Assert.Throws<InvalidOperationException>(
            () => NpyFile.Write(_folder["x.npy"], ElementType.F32, [2], stream => stream.Write(new byte[4])));
        Assert.That(_folder.Files(), Is.Empty);
    }

    private static byte[] Build(int major, string header, int dataLength)
    {
        byte[] text = System.Text.Encoding.ASCII.GetBytes(header.Length == 0 ? "" : header + "\n");
        byte[] length = major == 1 ? BitConverter.GetBytes((ushort)text.Length) : BitConverter.GetBytes(text.Length);
        return [0x93, .. "NUMPY"u8, (byte)major, 0, .. length, .. text, .. new byte[dataLength]];
    }
}
