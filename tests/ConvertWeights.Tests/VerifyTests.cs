using Chatterbox;
using Chatterbox.Models;
using Chatterbox.Weights;

namespace ConvertWeights.Tests;

/// <summary><c>verify</c>, and what the family's models are told apart by.</summary>
public sealed class VerifyTests : IDisposable
{
    private readonly Cli _cli = new();

    public void Dispose() => _cli.Dispose();

    public static TheoryData<string, string, string> Family =>
        new()
        {
            { "english", "t3_cfg", "s3gen" },
            { "multilingual", "t3_mtl23ls_v2", "s3gen" },
            { "turbo", "t3_turbo_v1", "s3gen_meanflow" },
            { "nano", "t3_nano_v1", "s3gen_meanflow" },
            { "flash", "t3_flash", "s3gen_meanflow" },
        };

    [Theory, MemberData(nameof(Family))]
    public void Every_model_of_the_family_is_known_by_its_T3_and_fits_its_networks(string name, string t3, string s3gen)
    {
        using var t3Source = SyntheticTensors.FullSize(t3);
        var variant = Variant.OfT3(t3Source)!;
        Assert.Equal(name, variant.Config.Name);
        foreach (
            var (part, file) in new[] { (Part.T3, t3), (Part.S3Gen, s3gen), (Part.SpeakerEncoder, "ve"), (Part.Watermark, "perth_net") }
        )
        {
            using var source = SyntheticTensors.FullSize(file);
            Assert.Equal(part, Variant.PartOf(source));
            Assert.Null(variant.FaultsOf(part, source, out var read));
            Assert.Subset(source.Tensors.Keys.ToHashSet(), read.ToHashSet());
        }
    }

    public static TheoryData<string> Multilingual =>
        [.. ChatterboxConfig.Published.Where(config => config.T3 == ChatterboxConfig.Multilingual.T3).Select(config => config.Name)];

    [Theory, MemberData(nameof(Multilingual))]
    public void Models_of_one_size_are_told_by_the_name_of_their_T3_and_keep_their_languages(string name)
    {
        var published = ChatterboxConfig.Published.Single(config => config.Name == name);
        var table = new TensorInfo(ScalarType.Float32, [published.T3.TextVocabulary, published.T3.Backbone.HiddenSize]);
        SafetensorsWriter.Write(_cli.In(published.Files.T3[0]), [TensorToWrite.From("text_emb.weight", zeros(table.Shape))]);
        var found = CheckpointFolder.Open([_cli.Folder]).Variant.Config;
        Assert.Equal((name, published.Text.DefaultLanguage), (found.Name, found.Text.DefaultLanguage));

        // What convert writes beside the weights says the same.
        found.Save(_cli.In(ChatterboxConfig.FileName));
        var kept = CheckpointFolder.Open([_cli.Folder]).Variant.Config;
        Assert.Equal((name, published.Text.DefaultLanguage), (kept.Name, kept.Text.DefaultLanguage));
        Assert.Equal(published.Text.Languages, kept.Text.Languages);
        Assert.Equal(published.Files.S3Gen, kept.Files.S3Gen);
    }

    [Fact]
    public void Flash_is_known_by_the_name_of_its_T3_and_refused_without_the_row_of_its_mask()
    {
        // The reference would take a row of random numbers.
        using var english = SyntheticTensors.FullSize("t3_cfg");
        var flash = Variant.Published.Single(variant => variant.Config.Name == "flash");
        Assert.Contains(
            "'speech_emb.weight' has shape [8194, 1024], expected [8195, 1024]",
            flash.FaultsOf(Part.T3, english, out _),
            StringComparison.Ordinal
        );

        var table = TensorToWrite.From("text_emb.weight", zeros([704, 1024]));
        SafetensorsWriter.Write(_cli.In("t3_flash.safetensors"), [table]);
        Assert.Equal("flash", CheckpointFolder.Open([_cli.Folder]).Variant.Config.Name);
    }

    [Fact]
    public async Task A_sound_checkpoint_is_sound()
    {
        var said = await Cli.RunAsync("verify", Cli.Tiny, "--json");
        Assert.Equal(0, said.Code);
        Assert.Equal(
            (true, "tiny", 0),
            (
                said.Json.GetProperty("sound").GetBoolean(),
                said.Json.GetProperty("model").GetString(),
                said.Json.GetProperty("faults").GetArrayLength()
            )
        );
    }

    [Fact]
    public async Task All_faults_are_told_at_once_each_with_its_remedy()
    {
        var folder = _cli.CopyOfTiny();
        File.Delete(Path.Combine(folder, "ve.safetensors"));
        File.Delete(Path.Combine(folder, "perth_net.safetensors"));
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), "{}");
        File.WriteAllText(Path.Combine(folder, "voice.safetensors"), "no voice");
        Change(Path.Combine(folder, "t3_cfg.safetensors"), (name, tensor) => name == "tfmr.norm.weight" ? tensor[..64].clone() : tensor);
        Change(
            Path.Combine(folder, "s3gen.safetensors"),
            (_, tensor) => tensor.is_floating_point() && tensor.dim() == 3 ? tensor.fill_(float.NaN) : tensor
        );
        var said = await Cli.RunAsync("verify", folder, "--watermark", _cli.In("none"), "--model", "english", "--json");
        Assert.Equal(1, said.Code);
        var faults = string.Join(
            "\n",
            said.Json.GetProperty("faults").EnumerateArray().Select(fault => fault.GetProperty("problem").GetString())
        );
        Assert.Equal(7, said.Json.GetProperty("faults").GetArrayLength());
        Assert.Contains("holds the tiny model, expected english", faults, StringComparison.Ordinal);
        Assert.Contains("SpeakerEncoder is missing", faults, StringComparison.Ordinal);
        Assert.Contains("'tfmr.norm.weight' has shape [64], expected [128]", faults, StringComparison.Ordinal);
        Assert.Contains("weights that are not finite: ", faults, StringComparison.Ordinal);
        Assert.Contains("tokenizer.json", faults, StringComparison.Ordinal);
        Assert.Contains("voice.safetensors", faults, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Files_under_each_others_names_are_recognised()
    {
        var folder = _cli.CopyOfTiny();
        File.Copy(Path.Combine(Cli.Tiny, "ve.safetensors"), Path.Combine(folder, "s3gen.safetensors"), overwrite: true);
        var said = await Cli.RunAsync("verify", folder, "--no-values");
        Assert.Equal(1, said.Code);
        Assert.Contains("It holds SpeakerEncoder: rename it to ve.safetensors", said.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_truncated_file_and_a_folder_of_something_else_are_faults()
    {
        var folder = _cli.CopyOfTiny();
        using (var file = File.OpenWrite(Path.Combine(folder, "t3_cfg.safetensors")))
        {
            file.SetLength(file.Length - 1);
        }

        var said = await Cli.RunAsync("verify", folder);
        Assert.Equal(1, said.Code);
        Assert.Contains("t3_cfg.safetensors is not a sound safetensors file", said.Output, StringComparison.Ordinal);
        said = await Cli.RunAsync("verify", _cli.Folder);
        Assert.Equal(1, said.Code);
        Assert.Contains("holds no T3 of the family", said.Output, StringComparison.Ordinal);
    }

    private static void Change(string path, Func<string, Tensor, Tensor> change)
    {
        using var scope = NewDisposeScope();
        List<TensorToWrite> tensors;
        using (var file = SafetensorsFile.Open(path))
        {
            tensors = [.. file.Tensors.Keys.Select(name => TensorToWrite.From(name, change(name, file.Read(name))))];
        }

        SafetensorsWriter.Write(path, tensors);
    }
}
