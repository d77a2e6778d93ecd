using System.Globalization;
using System.Text.Json;
using Chatterbox;
using Chatterbox.Weights;

namespace ConvertWeights.Tests;

/// <summary>Files that real PyTorch has written, by <c>fixtures/torch/make.py</c>: every value comes out bit for bit, and what
/// is refused is refused for its own reason.</summary>
public sealed class TorchFixtureTests
{
    private static string Root => Path.Combine(Cli.Fixtures, "torch");

    /// <summary>Every file of every recorded set, or nothing where none is recorded yet.</summary>
    public static TheoryData<string, string> Files
    {
        get
        {
            var files = new TheoryData<string, string>();
            foreach (var expected in Directory.GetFiles(Root, "expected.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
            {
                using var json = JsonDocument.Parse(File.ReadAllText(expected));
                foreach (var file in json.RootElement.GetProperty("files").EnumerateObject())
                {
                    files.Add(Path.GetRelativePath(Root, Path.GetDirectoryName(expected)!), file.Name);
                }
            }

            return files;
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Files))]
    public void Files_of_real_PyTorch_are_read_bit_for_bit_or_refused_with_their_reason(string set, string name)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(Root, set, "expected.json")));
        var expected = json.RootElement.GetProperty("files").GetProperty(name);
        var path = Path.Combine(Root, set, name);
        if (expected.TryGetProperty("refused", out var reason))
        {
            Assert.Contains(
                reason.GetString()!,
                Assert.Throws<CheckpointException>(() => TorchFile.Open(path)).Message,
                StringComparison.Ordinal
            );
        }
        else if (name.EndsWith(".safetensors", StringComparison.Ordinal))
        {
            using var file = SafetensorsFile.Open(path);
            var entries = expected.GetProperty("root")[1].EnumerateArray().ToList();
            Assert.Equal(entries.Select(entry => entry[0][1].GetString()!).Order(), file.Tensors.Keys.Order());
            entries.ForEach(entry => AssertTensor(entry[1][1], file.Read(entry[0][1].GetString()!), name));
        }
        else
        {
            using var file = TorchFile.Open(path);
            AssertSame(expected.GetProperty("root"), file.Root, file, name);
        }
    }

    private static void AssertSame(JsonElement expected, object? actual, TorchFile file, string where)
    {
        var kind = expected[0].GetString();
        JsonElement Value() => expected[1];
        switch (kind)
        {
            case "none":
                Assert.Null(actual);
                break;
            case "bool":
                Assert.Equal(Value().GetBoolean(), Assert.IsType<bool>(actual));
                break;
            case "int":
                Assert.Equal(Value().GetInt64(), Assert.IsType<long>(actual));
                break;
            case "float":
                Assert.Equal(Float(Value().GetString()!), Assert.IsType<double>(actual));
                break;
            case "str":
                Assert.Equal(Value().GetString(), Assert.IsType<string>(actual));
                break;
            case "dtype":
                Assert.Equal(TypeOf(Value().GetString()!), Assert.IsType<ScalarType>(actual));
                break;
            case "tensor":
                AssertTensor(Value(), file.Read(Assert.IsType<StoredTensor>(actual)), where);
                break;
            case "list" or "tuple":
                var list = Assert.IsAssignableFrom<IReadOnlyList<object?>>(actual);
                Assert.Equal(kind == "tuple", actual is object?[]);
                Assert.Equal(Value().GetArrayLength(), list.Count);
                foreach (var (i, item) in Value().EnumerateArray().Index())
                {
                    AssertSame(item, list[i], file, $"{where}.{i}");
                }

                break;
            case "dict":
                var dict = Assert.IsAssignableFrom<IReadOnlyDictionary<object, object?>>(actual);
                object Key(JsonElement key) => key[0].GetString() == "int" ? key[1].GetInt64() : key[1].GetString()!;
                Assert.Equal(Value().EnumerateArray().Select(item => Key(item[0])), dict.Keys);
                foreach (var item in Value().EnumerateArray())
                {
                    AssertSame(item[1], dict[Key(item[0])], file, $"{where}.{Key(item[0])}");
                }

                break;
            default:
                Assert.Fail($"{where}: unknown kind {kind}");
                break;
        }
    }

    private static void AssertTensor(JsonElement expected, Tensor actual, string where)
    {
        using (actual)
        {
            Assert.Equal(TypeOf(expected.GetProperty("dtype").GetString()!), actual.dtype);
            Assert.Equal(expected.GetProperty("shape").EnumerateArray().Select(d => d.GetInt64()), actual.shape);
            Assert.True(expected.GetProperty("data").GetBytesFromBase64().AsSpan().SequenceEqual(actual.bytes), $"{where}: other elements");
        }
    }

    private static ScalarType TypeOf(string name) =>
        name switch
        {
            "uint8" => ScalarType.Byte,
            "complex64" => ScalarType.ComplexFloat32,
            "complex128" => ScalarType.ComplexFloat64,
            _ => Enum.Parse<ScalarType>(name, ignoreCase: true),
        };

    /// <summary>Python's float.hex, as in -0x1.8p+1.</summary>
    private static double Float(string hex)
    {
        switch (hex)
        {
            case "nan":
                return double.NaN;
            case "inf":
                return double.PositiveInfinity;
            case "-inf":
                return double.NegativeInfinity;
        }

        var (sign, rest) = hex.StartsWith('-') ? (-1.0, hex[3..]) : (1.0, hex[2..]);
        var parts = rest.Split('p');
        var digits = parts[0].Split('.');
        var fraction = digits.Length == 1 ? "" : digits[1];
        var mantissa = (double)ulong.Parse(digits[0] + fraction, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        return sign * Math.ScaleB(mantissa, int.Parse(parts[1], CultureInfo.InvariantCulture) - (4 * fraction.Length));
    }
}
