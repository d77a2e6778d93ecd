using Chatterbox.Models;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Models;

public class SyntheticCheckpointTests
{
    [Fact]
    public void The_tiny_model_is_a_hundredth_of_the_full_one()
    {
        var full = new[] { "ve", "t3_cfg", "s3gen", "perth_net" }.Sum(file =>
            SyntheticTensors.FullSize(file).Tensors.Values.Sum(t => t.Count)
        );
        var tiny = Directory
            .GetFiles(TinyCheckpoint.Folder, "*.safetensors")
            .Sum(path =>
            {
                using var file = SafetensorsFile.Open(path);
                return file.Tensors.Values.Sum(t => t.Count);
            });
        Assert.InRange(tiny, full / 400, full / 60);
    }

    [Fact]
    public void A_second_writing_gives_the_same_bytes()
    {
        var again = Directory.CreateTempSubdirectory().FullName;
        SyntheticCheckpoint.Write("tiny", again);
        foreach (var path in Directory.GetFiles(TinyCheckpoint.Folder))
        {
            Assert.Equal(File.ReadAllBytes(path), File.ReadAllBytes(Path.Combine(again, Path.GetFileName(path))));
        }

        Directory.Delete(again, recursive: true);
    }

    [Fact]
    public void Each_tiny_model_has_a_T3_of_its_own()
    {
        var speech = new[] { "tiny", "tiny-multilingual", "tiny-turbo", "tiny-nano", "tiny-flash" }.Select(name =>
        {
            using var model = ChatterboxModel.Load(TinyCheckpoint.FolderOf(name), new ModelOptions { Device = "cpu" });
            return string.Join(
                ' ',
                model.Synthesize("Hello there.", model.BuiltInVoice!, new SamplingOptions { Seed = 1 }).Samples.ToArray()
            );
        });
        Assert.Equal(5, speech.Distinct().Count());
    }

    [Fact]
    public void An_unknown_model_and_an_unwritable_folder_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => SyntheticCheckpoint.Write("huge", "x"));
        Assert.Throws<CheckpointException>(() => SyntheticCheckpoint.Write("tiny", "/proc/no-such-folder"));
    }
}
