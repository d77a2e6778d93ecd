using System.Runtime.InteropServices;
using Chatterbox;
using Chatterbox.Models;
using Chatterbox.Tests.Weights;
using Chatterbox.Weights;

namespace ConvertWeights.Tests;

/// <summary><c>convert</c>.</summary>
public sealed class ConvertTests : IDisposable
{
    private readonly Cli _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_converted_model_is_sound_and_speaks_the_same_samples()
    {
        var output = _cli.In("out");
        var said = await Cli.RunAsync("convert", Cli.Tiny, "--out", output, "--json");
        Assert.Equal((0, "tiny"), (said.Code, said.Json.GetProperty("model").GetString()));
        Assert.Equal(0, (await Cli.RunAsync("verify", output)).Code);
        foreach (var file in Directory.GetFiles(Cli.Tiny, "*.safetensors").Where(file => Path.GetFileName(file) != "s3gen.safetensors"))
        {
            Assert.Equal(0, (await Cli.RunAsync("diff", file, Path.Combine(output, Path.GetFileName(file)))).Code);
        }

        Assert.Equal(Speak(Cli.Tiny), Speak(output));
    }

    [Theory]
    [InlineData("tiny-multilingual")]
    [InlineData("tiny-turbo")]
    [InlineData("tiny-nano")]
    [InlineData("tiny-flash")]
    public async Task Every_model_of_the_family_stays_whole(string model)
    {
        var (original, output) = (_cli.In("original"), _cli.In("out"));
        Assert.Equal(0, (await Cli.RunAsync("synthesize", "--model", model, "--out", original)).Code);
        Assert.Equal(0, (await Cli.RunAsync("convert", original, "--out", output, "--t3", "bf16")).Code);
        foreach (var folder in new[] { original, output })
        {
            var verdict = (await Cli.RunAsync("verify", folder, "--model", model, "--json")).Json;
            Assert.True(verdict.GetProperty("sound").GetBoolean(), $"{verdict}");
            Assert.Equal(0, verdict.GetProperty("notes").GetArrayLength());
        }

        Assert.Equal(NamesIn(original), NamesIn(output));
        Assert.NotEmpty(Speak(output));

        static IEnumerable<string?> NamesIn(string folder) => Directory.GetFiles(folder).Select(Path.GetFileName).Order();
    }

    [Fact]
    public async Task Weight_norm_is_folded_unless_everything_is_kept()
    {
        var original = Path.Combine(Cli.Tiny, "s3gen.safetensors");
        var said = await Cli.RunAsync("convert", Cli.Tiny, "--out", _cli.In("out"), "--json");
        Assert.Equal(0, said.Code);
        using var source = SafetensorsFile.Open(original);
        using var converted = SafetensorsFile.Open(_cli.In("out/s3gen.safetensors"));
        const string Direction = "parametrizations.weight.original1";
        var norms = source
            .Tensors.Keys.Where(name => name.EndsWith(Direction, StringComparison.Ordinal))
            .Select(name => name[..^Direction.Length])
            .ToList();
        Assert.NotEmpty(norms);
        Assert.Equal(
            norms.Count,
            said.Json.GetProperty("files")
                .EnumerateArray()
                .Single(file => file.GetProperty("file").GetString() == "s3gen.safetensors")
                .GetProperty("folded")
                .GetInt32()
        );
        Assert.DoesNotContain(converted.Tensors.Keys, name => name.Contains("parametrizations", StringComparison.Ordinal));
        Assert.All(
            norms,
            norm =>
            {
                using var scope = NewDisposeScope();
                var (g, v, weight) = (
                    source.Read(norm + "parametrizations.weight.original0"),
                    source.Read(norm + Direction),
                    converted.Read(norm + "weight")
                );
                Assert.True(weight.flatten(1).norm(1).allclose(g.flatten().abs()), norm);
                Assert.True(
                    nn.functional.cosine_similarity(weight.flatten(1) * g.flatten(1).sign(), v.flatten(1)).allclose(ones(v.shape[0])),
                    norm
                );
            }
        );

        Assert.Equal(0, (await Cli.RunAsync("convert", Cli.Tiny, "--out", _cli.In("all"), "--keep-all")).Code);
        Assert.Equal(0, (await Cli.RunAsync("diff", original, _cli.In("all/s3gen.safetensors"))).Code);
        Assert.Equal(0, (await Cli.RunAsync("verify", _cli.In("all"))).Code);
    }

    [Fact]
    public async Task A_type_is_as_torch_rounds_to_it_folded_weights_too()
    {
        Assert.Equal(0, (await Cli.RunAsync("convert", Cli.Tiny, "--out", _cli.In("f32"))).Code);
        Assert.Equal(0, (await Cli.RunAsync("convert", Cli.Tiny, "--out", _cli.In("f16"), "--s3gen", "f16")).Code);
        using var wide = SafetensorsFile.Open(_cli.In("f32/s3gen.safetensors"));
        using var narrow = SafetensorsFile.Open(_cli.In("f16/s3gen.safetensors"));
        Assert.Equal(wide.Tensors.Keys.Order(), narrow.Tensors.Keys.Order());
        Assert.All(
            wide.Tensors.Keys,
            name =>
            {
                using var scope = NewDisposeScope();
                Assert.True(wide.Read(name).to(narrow.Tensors[name].DType).bytes.SequenceEqual(narrow.Read(name).bytes), name);
            }
        );
    }

    [Fact]
    public async Task Each_part_takes_the_type_that_is_asked_for_and_says_where_it_came_from()
    {
        var output = _cli.In("out");
        Assert.Equal(0, (await Cli.RunAsync("convert", Cli.Tiny, "--out", output, "--t3", "bf16", "--ve", "f16")).Code);
        Assert.Equal(ScalarType.BFloat16, TypeOf(output, "t3_cfg.safetensors"));
        Assert.Equal(ScalarType.Float16, TypeOf(output, "ve.safetensors"));
        Assert.Equal(ScalarType.Float32, TypeOf(output, "s3gen.safetensors"));
        var t3 = Path.Combine(Cli.Tiny, "t3_cfg.safetensors");
        Assert.Equal(0, (await Cli.RunAsync("diff", t3, Path.Combine(output, "t3_cfg.safetensors"), "--tolerance", "0.004")).Code);
        Assert.Equal(1, (await Cli.RunAsync("diff", t3, Path.Combine(output, "t3_cfg.safetensors"), "--tolerance", "0.00001")).Code);
        using var file = SafetensorsFile.Open(Path.Combine(output, "t3_cfg.safetensors"));
        Assert.Equal(
            ("tiny", "T3", "t3_cfg.safetensors", ContentHash.Sha256(t3)),
            (file.Metadata["model"], file.Metadata["part"], file.Metadata["source"], file.Metadata["source_sha256"])
        );
        Assert.StartsWith("convert-weights ", file.Metadata["converted_by"], StringComparison.Ordinal);
        Assert.NotEmpty(Speak(output));
    }

    [Fact]
    public async Task A_torch_file_becomes_safetensors_of_the_same_bits_without_dead_tensors()
    {
        var path = _cli.In("ve.pt");
        var source = SyntheticTensors.FullSize("ve");
        TorchArchive.WriteStateDict(path, source, items => items);
        var said = await Cli.RunAsync("convert", path, "--out", _cli.In("out"), "--json");
        Assert.Equal((0, 2, 14), (said.Code, Dropped(said), source.Tensors.Count - Dropped(said)));
        using (var converted = SafetensorsFile.Open(_cli.In("out/ve.safetensors")))
        {
            Assert.Equal(
                source.Tensors.Keys.Where(name => !name.StartsWith("similarity", StringComparison.Ordinal)).Order(),
                converted.Tensors.Keys.Order()
            );
            Assert.All(converted.Tensors.Keys, name => AssertSameBits(source, converted, name));
        }

        Assert.Equal(0, Dropped(await Cli.RunAsync("convert", path, "--out", _cli.In("all"), "--keep-all", "--json")));
        Assert.Equal(0, (await Cli.RunAsync("diff", path, _cli.In("all/ve.safetensors"))).Code);
    }

    [Fact]
    public async Task Views_in_a_torch_file_are_written_in_their_own_order()
    {
        var path = _cli.In("views.pt");
        float[] elements = [.. Enumerable.Range(0, 24).Select(i => (float)i)];
        File.WriteAllBytes(
            path,
            TorchArchive.Of(
                PickleWriter.Whole(p =>
                    p.Value(
                        new Dictionary<object, object?>
                        {
                            ["transposed"] = (Action<PickleWriter>)(w => w.Tensor("FloatStorage", "0", 24, 0, [4, 6], [1, 4])),
                            ["tail"] = (Action<PickleWriter>)(w => w.Tensor("FloatStorage", "0", 24, 20, [4], [1])),
                        }
                    )
                ),
                ("0", MemoryMarshal.AsBytes(elements.AsSpan()).ToArray())
            )
        );
        Assert.Equal(0, (await Cli.RunAsync("convert", path, "--out", _cli.In("out"), "--t3", "bf16")).Code);
        using var converted = SafetensorsFile.Open(_cli.In("out/views.safetensors"));
        using var scope = NewDisposeScope();
        var all = tensor(elements);
        Assert.Equal(
            all.reshape(6, 4).t().flatten().data<float>(),
            converted.Read("transposed").to(ScalarType.Float32).flatten().data<float>()
        );
        Assert.Equal(all[20..].data<float>(), converted.Read("tail").to(ScalarType.Float32).data<float>());
    }

    [Fact]
    public async Task A_training_checkpoint_gives_its_weights()
    {
        var path = _cli.In("perth_net_250000.pth.tar");
        using (var source = SafetensorsFile.Open(Path.Combine(Cli.Tiny, "perth_net.safetensors")))
        {
            TorchArchive.WriteStateDict(path, source, items => new Dictionary<object, object?> { ["model"] = items, ["step"] = 250000L });
        }

        var said = await Cli.RunAsync("convert", path, "--out", _cli.Folder, "--json");
        Assert.Equal(0, said.Code);
        // a tiny one is of no published size
        Assert.Contains("all of them are kept", said.Json.GetProperty("notes")[0].GetString(), StringComparison.Ordinal);
        Assert.Equal(
            0,
            (await Cli.RunAsync("diff", Path.Combine(Cli.Tiny, "perth_net.safetensors"), _cli.In("perth_net_250000.safetensors"))).Code
        );
    }

    [Fact]
    public async Task An_overlay_takes_what_it_lacks_from_its_base()
    {
        var overlay = Directory.CreateDirectory(_cli.In("overlay")).FullName;
        File.Copy(Path.Combine(Cli.Tiny, "t3_cfg.safetensors"), Path.Combine(overlay, "t3_cfg.safetensors"));
        var said = await Cli.RunAsync("convert", overlay, "--base", Cli.Tiny, "--out", _cli.In("out"), "--json");
        Assert.Equal(0, said.Code);
        var from = said
            .Json.GetProperty("files")
            .EnumerateArray()
            .ToDictionary(f => f.GetProperty("file").GetString()!, f => f.GetProperty("from").GetString()!);
        Assert.StartsWith(overlay, from["t3_cfg.safetensors"], StringComparison.Ordinal);
        Assert.StartsWith(Cli.Tiny, from["s3gen.safetensors"], StringComparison.Ordinal);
        Assert.Equal(0, (await Cli.RunAsync("verify", _cli.In("out"))).Code);
        File.Copy(Path.Combine(Cli.Tiny, "config.json"), Path.Combine(overlay, "config.json"));
        said = await Cli.RunAsync("convert", overlay, "--out", _cli.In("alone"));
        Assert.Equal(2, said.Code);
        Assert.Contains("--base", said.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_conds_file_becomes_a_voice()
    {
        var folder = _cli.CopyOfTiny();
        var voice = Path.Combine(folder, "voice.safetensors");
        Assert.Equal(0, (await Cli.RunAsync("voice", "convert", voice, "--out", Path.Combine(folder, "conds.pt"))).Code);
        File.Delete(voice);
        Assert.Equal(0, (await Cli.RunAsync("convert", folder, "--out", _cli.In("out"))).Code);
        Assert.Equal(0, (await Cli.RunAsync("diff", Path.Combine(Cli.Tiny, "voice.safetensors"), _cli.In("out/voice.safetensors"))).Code);
    }

    [Fact]
    public async Task Values_that_a_type_cannot_hold_are_refused()
    {
        var path = _cli.In("x.safetensors");
        SafetensorsWriter.Write(path, [TensorToWrite.From("x", tensor(new[] { 1f, 70000f }))]);
        var said = await Cli.RunAsync("convert", path, "--out", _cli.In("out"), "--t3", "f16");
        Assert.Equal(2, said.Code);
        Assert.Contains("'x' has values from 1 to 7E+04, which F16 cannot hold", said.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_cli.In("out")));
        Assert.Equal(0, (await Cli.RunAsync("convert", path, "--out", _cli.In("out"), "--t3", "bf16")).Code);
    }

    [Fact]
    public async Task Converting_into_itself_and_what_does_not_fit_are_refused()
    {
        var folder = _cli.CopyOfTiny();
        var said = await Cli.RunAsync("convert", folder, "--out", folder + "/");
        Assert.Equal(2, said.Code);
        Assert.Contains("is the folder that is to be converted", said.Error, StringComparison.Ordinal);
        said = await Cli.RunAsync("convert", Path.Combine(folder, "ve.safetensors"), "--out", folder, "--ve", "bf16");
        Assert.Equal(2, said.Code);
        Assert.Contains("would be replaced by what it is converted to", said.Error, StringComparison.Ordinal);
        File.Copy(Path.Combine(folder, "ve.safetensors"), Path.Combine(folder, "s3gen.safetensors"), overwrite: true);
        File.WriteAllText(Path.Combine(folder, "t3_cfg.safetensors"), "no weights");
        said = await Cli.RunAsync("convert", folder, "--out", _cli.In("out"));
        Assert.Equal(2, said.Code);
        Assert.Contains("s3gen.safetensors does not fit this model", said.Error, StringComparison.Ordinal);
        Assert.Contains("t3_cfg.safetensors is not a sound safetensors file", said.Error, StringComparison.Ordinal); // all faults at once
        Assert.False(Directory.Exists(_cli.In("out")));
    }

    private static int Dropped(Said said) => said.Json.GetProperty("files")[0].GetProperty("dropped").GetInt32();

    private static float[] Speak(string folder)
    {
        using var model = ChatterboxModel.Load(folder, new ModelOptions { Device = "cpu" });
        return model.Synthesize("Hi.", model.BuiltInVoice!, new SamplingOptions { Seed = 1, MaxSpeechTokens = 20 }).Samples.ToArray();
    }

    private static ScalarType TypeOf(string folder, string file)
    {
        using var source = SafetensorsFile.Open(Path.Combine(folder, file));
        return source.Tensors.Values.Select(info => info.DType).Where(type => type != ScalarType.Int64).Distinct().Single();
    }

    private static void AssertSameBits(ITensorSource expected, ITensorSource actual, string name)
    {
        using var x = expected.Read(name);
        using var y = actual.Read(name);
        Assert.Equal((x.dtype, string.Join(',', x.shape)), (y.dtype, string.Join(',', y.shape)));
        Assert.True(x.bytes.SequenceEqual(y.bytes), name);
    }
}
