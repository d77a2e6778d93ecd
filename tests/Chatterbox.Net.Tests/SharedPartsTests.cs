using Chatterbox.Tests.Models;
using Chatterbox.Weights;

namespace Chatterbox.Tests;

/// <summary>Models that share what they read of the same files.</summary>
public sealed class SharedPartsTests
{
    private const string Text = "The quick brown fox jumps over the lazy dog.";

    [Fact]
    public void Parts_of_the_same_files_are_in_memory_once_and_go_with_the_last_model()
    {
        var before = LiveTensors.Settled();
        long Alone(string name)
        {
            using var model = Load(name, new SharedParts());
            return Tensor.TotalCount - before;
        }

        // English and multilingual have the voice encoder, S3Gen and the watermark in common, Turbo and Nano theirs.
        foreach (var (first, second) in new[] { ("tiny", "tiny-multilingual"), ("tiny-turbo", "tiny-nano") })
        {
            var (one, other) = (Alone(first), Alone(second));
            var parts = new SharedParts();
            var model = Load(first, parts);
            var companion = Load(second, parts);
            Assert.InRange(Tensor.TotalCount - before, 1, (one + other) * 2 / 3);
            model.Dispose();
            Assert.Equal(other, Tensor.TotalCount - before);
            companion.Dispose();
            Assert.Equal(before, Tensor.TotalCount);
        }
    }

    [Fact]
    public void What_models_share_changes_nothing_in_their_speech()
    {
        float[] Speak(ChatterboxModel model) =>
            model.Synthesize(Text, model.BuiltInVoice!, new SamplingOptions { Seed = 5 }).Samples.ToArray();
        string[] names = ["tiny", "tiny-multilingual", "tiny-turbo", "tiny-nano", "tiny"];
        var alone = names
            .Select(name =>
            {
                using var model = Load(name, new SharedParts());
                return Speak(model);
            })
            .ToList();

        var parts = new SharedParts();
        var models = names.AsParallel().AsOrdered().WithDegreeOfParallelism(names.Length).Select(name => Load(name, parts)).ToList();
        try
        {
            var together = models.AsParallel().AsOrdered().WithDegreeOfParallelism(models.Count).Select(Speak).ToList();
            Assert.Equal(alone, together);
            models[0].Dispose();
            Assert.Equal(alone[^1], Speak(models[^1])); // the first's parts, but for T3, are its too
        }
        finally
        {
            models.ForEach(model => model.Dispose());
        }
    }

    [Fact]
    public void A_part_that_cannot_be_loaded_is_tried_again()
    {
        var folder = TinyCheckpoint.Copy();
        var ve = Path.Combine(folder, "ve.safetensors");
        var parts = new SharedParts();
        File.Move(ve, ve + ".good");
        File.Copy(Path.Combine(folder, "t3_cfg.safetensors"), ve);
        var before = LiveTensors.Settled();
        Assert.Throws<CheckpointException>(() => ChatterboxModel.Load(folder, new ModelOptions { Device = "cpu", SharedParts = parts }));
        Assert.Equal(before, Tensor.TotalCount);
        File.Move(ve + ".good", ve, overwrite: true);
        ChatterboxModel.Load(folder, new ModelOptions { Device = "cpu", SharedParts = parts }).Dispose();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void The_memory_of_weights_is_told_by_file()
    {
        var parts = new SharedParts();
        IReadOnlyList<WeightMemory> Measure(string name) =>
            ChatterboxModel.MeasureWeights(
                TinyCheckpoint.FolderOf(name),
                new ModelOptions { SharedParts = parts, Precision = Precision.Full }
            );
        var (english, multilingual) = (Measure("tiny"), Measure("tiny-multilingual"));
        Assert.Equal(english.Skip(1), multilingual.Skip(1));
        Assert.NotEqual(english[0], multilingual[0]);
        var onDisk = new FileInfo(Path.Combine(TinyCheckpoint.Folder, "t3_cfg.safetensors")).Length;
        Assert.InRange(english[0].Bytes, onDisk * 9 / 10, onDisk);
        var half = ChatterboxModel.MeasureWeights(
            TinyCheckpoint.Folder,
            new ModelOptions { SharedParts = parts, Precision = Precision.Fast }
        );
        Assert.Equal(english[0].Bytes / 2, half[0].Bytes);
    }

    [Fact]
    public void Files_are_the_same_by_content_wherever_they_lie()
    {
        var folder = Directory.CreateTempSubdirectory("chatterbox-same-");
        string Write(string name, string content)
        {
            var path = Path.Combine(folder.FullName, name);
            File.WriteAllText(path, content);
            return path;
        }

        var files = new KnownCheckpoints();
        var (one, copy, other, longer) = (Write("one", "abc"), Write("copy", "abc"), Write("other", "abd"), Write("longer", "abcd"));
        var link = Path.Combine(folder.FullName, "link");
        File.CreateSymbolicLink(link, one);
        Assert.Equal(files.ContentOf(one), files.ContentOf(copy));
        Assert.Equal(files.ContentOf(one), files.ContentOf(link));
        Assert.Equal(4 - 1, new[] { one, copy, other, longer }.Select(files.ContentOf).Distinct().Count());

        var before = files.ContentOf(one);
        File.WriteAllText(one, "xyz");
        File.SetLastWriteTimeUtc(one, DateTime.UtcNow.AddMinutes(1));
        Assert.NotEqual(before, files.ContentOf(one));
        Assert.Equal(before, files.ContentOf(copy));
        Assert.Throws<CheckpointException>(() => files.ContentOf(Path.Combine(folder.FullName, "nothing")));
        folder.Delete(recursive: true);
    }

    private static ChatterboxModel Load(string name, SharedParts parts) =>
        ChatterboxModel.Load(TinyCheckpoint.FolderOf(name), new ModelOptions { Device = "cpu", SharedParts = parts });
}
