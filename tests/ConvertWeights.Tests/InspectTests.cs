using System.Text.Json;
using Chatterbox.Tests.Weights;
using Chatterbox.Weights;

namespace ConvertWeights.Tests;

/// <summary><c>inspect</c> and <c>diff</c>.</summary>
public sealed class InspectTests : IDisposable
{
    private readonly Cli _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task Statistics_are_of_the_finite_numbers()
    {
        var path = Write(
            "a",
            ("x", tensor(new[] { 1f, -3f, 8f, float.NaN, float.PositiveInfinity, float.NegativeInfinity })),
            ("n", tensor(new[] { 5L, 7L })),
            ("none", zeros(0, 2)),
            ("half", ones(3, ScalarType.BFloat16))
        );
        var file = (await Cli.RunAsync("inspect", path, "--json")).Json.GetProperty("files")[0];
        Assert.Equal(
            ["half", "n", "none", "x"],
            file.GetProperty("tensors").EnumerateArray().Select(t => t.GetProperty("name").GetString())
        );
        var x = Tensor(file, "x");
        Assert.Equal(("F32", 24L), (x.GetProperty("dType").GetString(), x.GetProperty("bytes").GetInt64()));
        var s = x.GetProperty("statistics");
        Assert.Equal(
            (-3.0, 8.0, 2.0, 1L, 2L),
            (
                s.GetProperty("min").GetDouble(),
                s.GetProperty("max").GetDouble(),
                s.GetProperty("mean").GetDouble(),
                s.GetProperty("naN").GetInt64(),
                s.GetProperty("inf").GetInt64()
            )
        );
        Assert.Equal(6, Tensor(file, "n").GetProperty("statistics").GetProperty("mean").GetDouble());
        Assert.False(Tensor(file, "none").GetProperty("statistics").TryGetProperty("min", out _));
        Assert.Equal("BF16", Tensor(file, "half").GetProperty("dType").GetString());
    }

    [Fact]
    public async Task Large_tensors_are_looked_at_in_pieces()
    {
        using var large = arange(3_000_000, ScalarType.Float32);
        var s = Tensor((await Cli.RunAsync("inspect", Write("a", ("x", large)), "--json")).Json.GetProperty("files")[0], "x")
            .GetProperty("statistics");
        Assert.Equal(
            (0.0, 2_999_999.0, 1_499_999.5),
            (s.GetProperty("min").GetDouble(), s.GetProperty("max").GetDouble(), s.GetProperty("mean").GetDouble())
        );
    }

    [Fact]
    public async Task Torch_files_show_their_settings_too()
    {
        var path = _cli.In("a.pth.tar");
        File.WriteAllBytes(
            path,
            TorchArchive.Of(
                PickleWriter.Whole(p =>
                    p.Value(
                        new Dictionary<object, object?>
                        {
                            ["model"] = new Dictionary<object, object?>
                            {
                                ["w"] = (Action<PickleWriter>)(w => w.Tensor("FloatStorage", "0", 4, 0, [2, 2], [1, 2])),
                            },
                            ["step"] = 250000L,
                            ["nothing"] = null,
                        }
                    )
                ),
                ("0", new byte[16])
            )
        );
        var said = await Cli.RunAsync("inspect", path);
        Assert.Equal(0, said.Code);
        Assert.Contains("step = 250000", said.Output, StringComparison.Ordinal);
        Assert.Contains("nothing = None", said.Output, StringComparison.Ordinal);
        Assert.Matches(@"w +F32 +\[2, 2\] +16 +0 +0 +0 +0 +0", said.Output);
        Assert.DoesNotContain('\u001b', said.Output);
    }

    [Fact]
    public async Task Names_can_be_chosen_and_values_left_unread()
    {
        var said = await Cli.RunAsync(
            "inspect",
            Path.Combine(Cli.Tiny, "t3_cfg.safetensors"),
            "--name",
            "layers.1.mlp",
            "--no-values",
            "--json"
        );
        var tensors = said.Json.GetProperty("files")[0].GetProperty("tensors").EnumerateArray().ToList();
        Assert.Equal(3, tensors.Count);
        Assert.All(tensors, tensor => Assert.False(tensor.TryGetProperty("statistics", out _)));
    }

    [Fact]
    public async Task Equal_files_are_the_same_and_others_differ_by_name_shape_type_and_value()
    {
        var a = Write(
            "a",
            ("same", tensor(new[] { 1f, float.NaN })),
            ("gone", ones(1)),
            ("shape", ones(2, 3)),
            ("type", ones(2)),
            ("value", tensor(new[] { 1f, -4f }))
        );
        var b = Write(
            "b",
            ("same", tensor(new[] { 1f, float.NaN })),
            ("new", ones(1)),
            ("shape", ones(3, 2)),
            ("type", ones(2, ScalarType.Float64)),
            ("value", tensor(new[] { 1f, -4.5f }))
        );
        Assert.Equal(0, (await Cli.RunAsync("diff", a, a)).Code);
        var said = await Cli.RunAsync("diff", a, b, "--json");
        Assert.Equal(1, said.Code);
        Assert.False(said.Json.GetProperty("same").GetBoolean());
        var differences = said.Json.GetProperty("differences").EnumerateArray().ToDictionary(d => d.GetProperty("name").GetString()!);
        Assert.Equal(["gone", "new", "shape", "type", "value"], differences.Keys.Order());
        Assert.Equal("only in A", differences["gone"].GetProperty("what").GetString());
        Assert.Equal("shape [2, 3] in A, [3, 2] in B", differences["shape"].GetProperty("what").GetString());
        Assert.Equal("type F32 in A, F64 in B", differences["type"].GetProperty("what").GetString());
        Assert.Equal(
            (0.5, 0.125),
            (differences["value"].GetProperty("absolute").GetDouble(), differences["value"].GetProperty("relative").GetDouble())
        );
    }

    [Theory]
    [InlineData("0.1", 1)]
    [InlineData("0.125", 0)]
    public async Task A_tolerance_is_relative_to_the_largest_value(string tolerance, int code)
    {
        var a = Write("a", ("x", tensor(new[] { 1f, -4f })));
        var b = Write("b", ("x", tensor(new[] { 1f, -4.5f }).to(ScalarType.BFloat16)));
        Assert.Equal(code, (await Cli.RunAsync("diff", a, b, "--tolerance", tolerance)).Code);
    }

    [Fact]
    public async Task What_is_a_number_in_one_file_alone_differs_without_bounds()
    {
        var a = Write("a", ("x", tensor(new[] { 1f, float.NaN })));
        var b = Write("b", ("x", tensor(new[] { 1f, 2f })));
        var said = await Cli.RunAsync("diff", a, b, "--tolerance", "1e9");
        Assert.Equal(1, said.Code);
        Assert.Contains("Different: 1 of 1 tensors.", said.Output, StringComparison.Ordinal);
    }

    private string Write(string name, params (string Name, Tensor Tensor)[] tensors)
    {
        var path = _cli.In(name + ".safetensors");
        SafetensorsWriter.Write(path, tensors.Select(t => TensorToWrite.From(t.Name, t.Tensor)));
        return path;
    }

    private static JsonElement Tensor(JsonElement file, string name) =>
        file.GetProperty("tensors").EnumerateArray().Single(t => t.GetProperty("name").GetString() == name);
}
