using System.Diagnostics;
using System.Net.Sockets;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Outputs appear complete or not at all, whatever happens at whatever step.</summary>
public class OutputTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder()
    {
        DiskSteps.BeforeStep = null;
        _folder.Dispose();
    }

    /// <summary>The writers that exist, each with a file that it writes.</summary>
    private static IEnumerable<TestCaseData> Writers()
    {
        yield return new TestCaseData((Action<string, Action<Stream>>)((path, write) =>
        {
            var writer = new GgufWriter();
            writer.Add("a", [1 << 20], GgmlType.Of(QuantFormat.F32), write);
            writer.Write(path);
        })).SetArgDisplayNames("gguf");
        yield return new TestCaseData((Action<string, Action<Stream>>)((path, write) =>
        {
            var writer = new SafetensorsWriter();
            writer.Add("a", ElementType.F32, [1 << 20], write);
            writer.Write(path);
        })).SetArgDisplayNames("safetensors");
        yield return new TestCaseData((Action<string, Action<Stream>>)((path, write) => NpyFile.Write(path, ElementType.F32, [1 << 20], write)))
            .SetArgDisplayNames("npy");
        yield return new TestCaseData((Action<string, Action<Stream>>)((path, write) =>
        {
            var writer = new SafetensorsWriter();
            writer.Add("a", ElementType.F32, [1 << 20], write);
            writer.WriteFolder(path, overwrite: true);
        })).SetArgDisplayNames("folder");
    }

    [TestCaseSource(nameof(Writers))]
    public void AFailureInTheMiddleLeavesNothingAndIsTheOneThatIsTold(Action<string, Action<Stream>> write)
    {
        Assert.That(
            () => write(_folder["out"], stream =>
            {
                stream.Write(new byte[100_000]);
                throw new OperationCanceledException();
            }),
            Throws.TypeOf<OperationCanceledException>());
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);
    }

    [TestCaseSource(nameof(Writers))]
    public void AFailureOfAnyStepLeavesNothing(Action<string, Action<Stream>> write)
    {
        foreach (string step in (string[])["flush", "move"])
        {
            DiskSteps.BeforeStep = taken =>
            {
                if (taken.StartsWith(step, StringComparison.Ordinal))
                {
                    throw new IOException("injected");
                }
            };
            Assert.That(() => write(_folder["out"], Fill), Throws.TypeOf<IOException>().With.Message.Match($"^({_folder["out"]}.*: )?injected$"), step);
            Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty, step);
        }
    }

    [TestCaseSource(nameof(Writers))]
    public void AFullDiskLeavesNothing(Action<string, Action<Stream>> write)
    {
        if (!OperatingSystem.IsLinux() || !TryMount(_folder["full"], 200))
        {
            Assert.Ignore("Only root can make a small disk.");
        }

        try
        {
            Assert.That(() => write(_folder["full/out"], Fill), Throws.InstanceOf<IOException>());
            Assert.That(Directory.GetFileSystemEntries(_folder["full"]), Is.Empty);
        }
        finally
        {
            Run("umount", _folder["full"]);
        }
    }

    [TestCaseSource(nameof(Writers))]
    public void WhatAKilledProcessLeftIsRemovedByTheNext(Action<string, Action<Stream>> write)
    {
        bool dead = false;
        DiskSteps.BeforeStep = _ =>
        {
            dead = true;
            throw new InvalidOperationException("killed");
        };
        Assert.That(() => write(_folder["out"], Fill), Throws.InvalidOperationException);
        Assert.That(dead && Directory.GetFileSystemEntries(_folder.Path).Length > 0);
        string other = _folder.Write("out2." + Guid.NewGuid().ToString("N") + ".partial", "of another output");

        DiskSteps.BeforeStep = null;
        write(_folder["out"], Fill);
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.EquivalentTo([_folder["out"], other]));
    }

    [Test]
    public void WhatALivingProcessWritesIsLeftAlone()
    {
        using var first = new OutputFile(_folder["out"]);
        first.Stream.Write("first"u8);
        using var folder = new OutputFolder(_folder["folder"], overwrite: false);
        folder.Write("a", stream => stream.Write("first"u8));
        using (var second = new OutputFile(_folder["out"]))
        {
            second.Commit();
        }

        using (new OutputFolder(_folder["folder"], overwrite: false))
        {
        }

        first.Commit();
        folder.Commit();
        Assert.That((File.ReadAllText(_folder["out"]), File.ReadAllText(_folder["folder/a"])), Is.EqualTo(("first", "first")));
    }

    [TestCase("config.json", true)]
    [TestCase("config.json", false)]
    [TestCase("more.json", true)]
    public void OverwritingAFolderIsAllOrNothingWhereverItIsKilled(string newName, bool throughLink)
    {
        // Without a config the new folder is weights only, and the rest of the old model stays.
        bool isWhole = newName == "config.json";
        string[] oldFiles = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "notes.txt", "sub/more.txt", "tokenizer.json"];
        string[] newFiles = isWhole
            ? ["config.json", "model.safetensors", "notes.txt", "sub/more.txt"]
            : ["config.json", "model.safetensors", "more.json", "notes.txt", "sub/more.txt", "tokenizer.json"];
        string place = throughLink ? _folder["real"] : _folder["out"];
        if (throughLink)
        {
            Directory.CreateSymbolicLink(_folder["out"], _folder["real"]);
        }

        var outcomes = new HashSet<string>();
        for (int last = 0; ; last++)
        {
            if (Directory.Exists(place))
            {
                Directory.Delete(place, recursive: true);
            }

            foreach (string file in oldFiles)
            {
                _folder.Write(Path.GetFileName(place) + "/" + file, "old");
            }

            bool killed = Overwrite(newName, last);
            DiskSteps.BeforeStep = null;

            // Before anything is recovered a model that is in place is one of the two, never a mixture.
            if (Directory.Exists(place) && File.Exists(Path.Combine(place, "config.json")))
            {
                Assert.That(Directory.GetFiles(place, "model*").Select(Path.GetFileName), Is.AnyOf(oldFiles[1..3], newFiles[1..2]).Or.EquivalentTo(oldFiles[1..3]));
            }

            // Who reads where nothing is any more is told where it went.
            if (!Directory.Exists(place))
            {
                string aside = Directory.GetDirectories(_folder.Path, "*.old").Single();
                Assert.That(() => ModelSource.Open(_folder["out"]), Throws.TypeOf<FileNotFoundException>().With.Message.Contains($"; {aside} is the model"));
            }

            // The next start recovers.
            Assert.That(() => new OutputFolder(_folder["out"], overwrite: false), Throws.TypeOf<IOException>().With.Message.Contains("not empty"));
            IReadOnlyList<string> files = _folder.Files(Path.GetFileName(place));
            Assert.That(files, Is.EqualTo(oldFiles).Or.EqualTo(newFiles), $"killed before step {last}");
            Assert.That(Directory.GetFileSystemEntries(_folder.Path), Has.Length.EqualTo(throughLink ? 2 : 1));
            outcomes.Add(string.Join(' ', files));
            if (!killed)
            {
                Assert.That(files, Is.EqualTo(newFiles));
                break;
            }
        }

        Assert.That(outcomes, Has.Count.EqualTo(2), "both outcomes are seen");
    }

    [Test]
    public void AFailedSwapBringsTheOldFolderBack()
    {
        _folder.Write("out/config.json", "old");
        int moves = 0;
        DiskSteps.BeforeStep = step =>
        {
            if (step.StartsWith("move folder", StringComparison.Ordinal) && ++moves == 2)
            {
                throw new IOException("injected");
            }
        };
        using (var output = new OutputFolder(_folder["out"], overwrite: true))
        {
            output.Write("config.json", stream => stream.Write("new"u8));
            Assert.That(output.Commit, Throws.TypeOf<IOException>());
        }

        Assert.That(File.ReadAllText(_folder["out/config.json"]), Is.EqualTo("old"));
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Has.Length.EqualTo(1));
    }

    [Test]
    public void AnEmptyMountPointIsFilledAndAFullOneRefused()
    {
        if (!OperatingSystem.IsLinux() || !TryMount(_folder["disk"], 20_000))
        {
            Assert.Ignore("Only root can mount.");
        }

        try
        {
            var writer = new SafetensorsWriter();
            writer.Add("a", ElementType.F32, [1 << 20], Fill);
            writer.WriteFolder(_folder["disk"]);
            Assert.That(_folder.Files("disk"), Is.EqualTo(["model.safetensors", "model.safetensors.index.json"]));
            Assert.That(
                () => writer.WriteFolder(_folder["disk"], overwrite: true), Throws.TypeOf<IOException>().With.Message.Contains("is a mount point"));
        }
        finally
        {
            Run("umount", _folder["disk"]);
        }
    }

    [TestCase("pipe")]
    [TestCase("device")]
    [TestCase("socket")]
    [TestCase("link")]
    public void WhatIsNoFileIsNeitherReplacedNorRead(string kind)
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("Windows has no such files in folders.");
        }

        string path = _folder["node"];
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        switch (kind)
        {
            case "pipe":
                Assert.That(Run("mkfifo", path), Is.Zero);
                break;
            case "device":
                path = "/dev/null";
                break;
            case "socket":
                socket.Bind(new UnixDomainSocketEndPoint(path));
                break;
            default:
                File.CreateSymbolicLink(path, "/dev/null");
                break;
        }

        string word = kind == "link" ? "device" : kind;
        var writer = new GgufWriter();
        Assert.Multiple(() =>
        {
            Assert.That(() => writer.Write(path), Throws.TypeOf<IOException>().With.Message.EqualTo($"{path} is a {word}; a file is to be written."));
            Assert.That(
                () => new SafetensorsWriter().WriteFolder(path, overwrite: true),
                Throws.TypeOf<IOException>().With.Message.EqualTo($"{path} is a {word}; a folder is to be written."));
            Assert.That(() => ModelSource.Open(path), Throws.TypeOf<IOException>().With.Message.Contains($"is a {word}"));
            Assert.That(() => ImportanceMatrix.Open(path), Throws.TypeOf<IOException>().With.Message.Contains($"is a {word}"));
            Assert.That(() => SafetensorsFile.Open(path), Throws.TypeOf<IOException>().With.Message.Contains($"is a {word}"));
        });
    }

    [TestCaseSource(nameof(Writers))]
    public void AnErrorNamesTheOutputAndNotWhatItIsForTheTimeBeing(Action<string, Action<Stream>> write)
    {
        // As long as the name may be, so that the temporary one is too long.
        string path = _folder[new string('n', 250)];
        Assert.That(
            () => write(path, _ => { }),
            Throws.InstanceOf<IOException>().With.Message.Contains(path).And.Message.Not.Contains(".partial").And.Message.Not.Contains(".lock"));
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);

        if (OperatingSystem.IsLinux())
        {
            Assert.That(
                () => write("/proc/kquant", _ => { }),
                Throws.InstanceOf<IOException>().With.Message.EqualTo("/proc/kquant cannot be created: its folder takes no new files, or does not exist."));
        }
    }

    /// <summary>The folders above a folder that is written, and above a file for who asks for them, are part of what appears or does not.</summary>
    [TestCase("folder")]
    [TestCase("file")]
    public void FoldersThatWereMadeForAnOutputGoWithIt(string kind)
    {
        string path = _folder["there/a/b/out"];
        Directory.CreateDirectory(_folder["there"]);
        void Write(Action<Stream> write)
        {
            using FoldersAbove? above = kind == "file" ? FoldersAbove.Create(path) : null;
            var writer = new SafetensorsWriter();
            writer.Add("a", ElementType.F32, [1 << 20], write);
            if (above is null)
            {
                writer.WriteFolder(path, overwrite: true);
            }
            else
            {
                writer.Write(path);
            }
        }

        Assert.That(() => Write(_ => throw new OperationCanceledException()), Throws.TypeOf<OperationCanceledException>());
        Assert.That(Directory.GetFileSystemEntries(_folder.Path, "*", SearchOption.AllDirectories), Is.EqualTo([_folder["there"]]));
        Assert.That(
            () => Write(_ =>
            {
                File.WriteAllText(_folder["there/a/note"], "of somebody else");
                throw new OperationCanceledException();
            }),
            Throws.TypeOf<OperationCanceledException>());
        Assert.That(
            Directory.GetFileSystemEntries(_folder["there"], "*", SearchOption.AllDirectories),
            Is.EquivalentTo([_folder["there/a"], _folder["there/a/note"]]));
        Write(Fill);
        Assert.That(Directory.GetFileSystemEntries(_folder["there/a/b"]), Is.EqualTo([path]));
    }

    [Test]
    public void APlaceBelowAFileIsRefusedInASentence()
    {
        string file = _folder.Write("file", "text");
        Assert.That(() => new GgufWriter().Write(file + "/out.gguf"), Throws.TypeOf<IOException>().With.Message.Contains($"lies below {file}, which is a file"));
        Assert.That(() => new SafetensorsWriter().WriteFolder(file + "/a/b"), Throws.TypeOf<IOException>().With.Message.Contains($"lies below {file}"));
    }

    /// <summary>Writes a new folder over the old one and dies before a step: from then on nothing reaches the disk.</summary>
    private bool Overwrite(string newName, int lastStep)
    {
        int step = 0;
        DiskSteps.BeforeStep = _ =>
        {
            if (step++ >= lastStep)
            {
                throw new InvalidOperationException("killed");
            }
        };
        try
        {
            using var output = new OutputFolder(_folder["out"], overwrite: true);
            output.Write("model.safetensors", stream => stream.Write("new"u8));
            output.Write(newName, stream => stream.Write("new"u8));
            output.Commit();
        }
        catch (InvalidOperationException)
        {
            return true;
        }

        return false;
    }

    private static void Fill(Stream stream)
    {
        for (int i = 0; i < 64; i++)
        {
            stream.Write(new byte[1 << 16]);
        }
    }

    private static bool TryMount(string folder, int kilobytes)
    {
        Directory.CreateDirectory(folder);
        return Environment.IsPrivilegedProcess && Run("mount", "-t", "tmpfs", "-o", $"size={kilobytes}k", "tmpfs", folder) == 0;
    }

    private static int Run(string command, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }
}
