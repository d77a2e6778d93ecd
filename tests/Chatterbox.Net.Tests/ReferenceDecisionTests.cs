using System.Reflection;
using System.Text.RegularExpressions;
using Chatterbox.Ops;
using Chatterbox.T3;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Parity;
using Chatterbox.Tests.T3;
using Chatterbox.Tests.Text;
using Chatterbox.Weights;

namespace Chatterbox.Tests;

/// <summary>What was decided of the reference's behaviours, docs/reference.md, where no other test holds it.</summary>
public sealed partial class ReferenceDecisionTests
{
    [Fact]
    public void Each_decision_names_tests_that_are_there()
    {
        var rows = File.ReadAllLines(Path.Combine(Fixtures.Root, "..", "..", "docs", "reference.md"))
            .Where(line => line.StartsWith("| ", StringComparison.Ordinal))
            .Skip(2)
            .ToList();
        var tests = Assembly
            .GetExecutingAssembly()
            .GetTypes()
            .SelectMany(type => type.GetMethods())
            .Where(method => method.GetCustomAttribute<FactAttribute>() is not null)
            .Select(method => method.Name)
            .ToHashSet();
        Assert.NotEmpty(rows);
        Assert.Equal(Enumerable.Range(1, rows.Count), rows.Select(row => int.Parse(row.Split('|')[1], null)));
        Assert.All(
            rows,
            row =>
            {
                var heldBy = row.Split('|')[4];
                Assert.Subset(tests, Name().Matches(heldBy).Select(name => name.Groups[1].Value).ToHashSet());
                Assert.Matches(Name(), heldBy);
            }
        );
    }

    [Fact]
    public void Both_start_tokens_stand_at_position_0()
    {
        using var tiny = TinyT3.Llama();
        using var scope = NewDisposeScope();
        var prefix = tiny.Model.Prefix(TinyT3.Text, TinyT3.Voice, SamplingSettings.Resolve(new() { CfgWeight = 0 }, TinyT3.LlamaConfig));
        var config = TinyT3.LlamaConfig;
        var start =
            tiny.Weights["speech_emb"].Get("weight", config.SpeechVocabulary, 16)[config.StartSpeechToken]
            + tiny.Weights["speech_pos_emb"]["emb"].Get("weight", config.SpeechPositions, 16)[0];
        foreach (var place in (int[])[-1, -2])
        {
            Assert.Equal(start.data<float>().ToArray(), prefix[0, place].data<float>().ToArray());
        }
    }

    [Fact]
    public void Only_the_stop_token_and_the_limit_end_speech()
    {
        // A head that always says the same token: the reference would have ended such speech after two of them.
        var config = TinyT3.LlamaConfig;
        using var tiny = TinyT3.Llama(scale: name => name == "speech_head.weight" ? 0 : 1);
        var speech = tiny.Generate(
            1,
            new()
            {
                Temperature = 0,
                RepetitionPenalty = 1,
                MaxSpeechTokens = 30,
            }
        );
        Assert.Equal(Enumerable.Repeat(0, 30), speech.SpeechTokens);
        Assert.True(speech.ReachedLimit);
        Assert.NotEqual(0, config.StopSpeechToken);
    }

    [Theory]
    [InlineData("tiny", "A", null)]
    [InlineData("tiny-multilingual", "A", null)]
    [InlineData("tiny-multilingual", "Oh.", "fr")]
    [InlineData("tiny-multilingual", "我", "zh")]
    [InlineData("tiny-turbo", "A", null)]
    [InlineData("tiny-nano", "[laugh]", null)]
    public void The_shortest_texts_are_spoken(string name, string text, string? language)
    {
        using var model = Load(TinyCheckpoint.FolderOf(name));
        Assert.NotEmpty(model.Synthesize(text, model.BuiltInVoice!, new SamplingOptions { Seed = 1 }, language).Samples.ToArray());
    }

    [Fact]
    public void Speech_of_no_tokens_is_an_error_that_says_so()
    {
        var folder = TinyCheckpoint.Copy("tiny-turbo");
        var path = Path.Combine(folder, "t3_turbo_v1.safetensors");
        List<TensorToWrite> tensors;
        using (var scope = NewDisposeScope())
        {
            using (var file = SafetensorsFile.Open(path))
            {
                tensors = [.. file.Tensors.Keys.Select(name => TensorToWrite.From(name, file.Read(name)))];
                using var bias = file.Read("speech_head.bias");
                bias[T3Config.Turbo.StopSpeechToken] = 1e4f;
                tensors[tensors.FindIndex(tensor => tensor.Name == "speech_head.bias")] = TensorToWrite.From(
                    "speech_head.bias",
                    bias.clone()
                );
            }

            SafetensorsWriter.Write(path, tensors);
        }

        using (var model = Load(folder))
        {
            var error = Assert.Throws<RequestException>(() =>
                model.Synthesize("Hello there.", model.BuiltInVoice!, new SamplingOptions { Seed = 1 })
            );
            Assert.Contains("without a sound", error.Message, StringComparison.Ordinal);
            Assert.Contains("another seed", error.Message, StringComparison.Ordinal);
        }

        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void Token_ids_stay_whole_numbers_beside_half_width_weights()
    {
        // As numbers of half width these ids would all be one.
        int[] ids = [4000, 4001, 4002, 4003];
        Assert.Single(ids.Select(id => tensor(id).to(ScalarType.BFloat16).to(ScalarType.Float32).item<float>()).Distinct());

        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var checkpoint = Checkpoint.Open(TinyCheckpoint.FolderOf("tiny-turbo"));
        using var weights = new WeightStore(Checkpoint.OpenFile(checkpoint.T3Path), dtype: ScalarType.BFloat16);
        var model = new T3Model(checkpoint.Config.T3, weights.Root, TorchOps.Plain);
        var voice = checkpoint.ReadVoice()!.T3;
        var settings = SamplingSettings.Resolve(new(), checkpoint.Config.T3);
        var rows = ids.Select(id =>
                model.Prefix([1, 2, 3], voice with { SpeechTokens = [id] }, settings)[0, 1].to(ScalarType.Float32).data<float>().ToArray()
            )
            .ToList();
        Assert.Equal(ids.Length, rows.Select(row => string.Join(' ', row)).Distinct().Count());
    }

    [Fact]
    public void Without_a_language_no_tag_stands_before_the_text()
    {
        var tokenizer = TokenizerFiles.Multilingual;
        var tagged = tokenizer.Encode("casa", "es");
        Assert.Equal(635, tagged[0]);
        Assert.Equal(tagged[1..], tokenizer.Encode("casa"));
    }

    private static ChatterboxModel Load(string folder) => ChatterboxModel.Load(folder, new ModelOptions { Device = "cpu" });

    [GeneratedRegex("`([A-Z][A-Za-z0-9_]+)`")]
    private static partial Regex Name();
}
