using System.Globalization;
using System.Text.Json;
using Chatterbox.T3;
using Chatterbox.T3.Blocks;

namespace Chatterbox.Tests.Parity;

/// <summary>Flash's T3 against the recorded one: what goes in, every pass over every block, and the tokens.</summary>
public class FlashParityTests(FlashParityTests.Model model) : IClassFixture<FlashParityTests.Model>
{
    private const double ScoreBound = 1e-3; // nats

    public static TheoryData<string> Files => Fixtures.All("flash-t3");

    [Theory, MemberData(nameof(Files))]
    public void What_goes_in_matches_the_reference(string path)
    {
        using var golden = Fixture.Open(path);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var decoder = new BlockT3Decoder(model.Model, capacity: 1);
        Close.Assert(golden, "prior", golden["prior"], decoder.PriorOf((int)golden.Integer("block_size")), 1e-4);
        var schedules = JsonSerializer.Deserialize<Dictionary<string, int[]>>(golden.Metadata["schedule"])!;
        Assert.All(
            schedules,
            schedule =>
                Assert.Equal(
                    schedule.Value,
                    UnmaskSchedule.Of(
                        int.Parse(schedule.Key, CultureInfo.InvariantCulture),
                        (int)golden.Integer("num_steps"),
                        golden.Number("schedule_t_shift")
                    )
                )
        );
        if (!Has(golden, "cond_emb"))
        {
            return;
        }

        var (text, voice, options) = (
            T3Parity.TextTokens(golden, model.Model.Config),
            T3Parity.Voice(model, path),
            FlashParity.Options(golden)
        );
        using var noise = new NoiseSource(0);
        using var sequence = decoder.Start(text, voice, options, noise);
        var prefix = model.Model.Prefix(text, voice, SamplingSettings.Resolve(options, model.Model.Config));
        Assert.Equal(golden.Integer("prefix_len"), prefix.shape[1]);
        Close.Assert(golden, "cond_emb", golden["cond_emb"], prefix.narrow(0, 0, 1).narrow(1, 0, golden["cond_emb"].shape[1]), 1e-5);
        Close.Assert(golden, "prefix_tail", golden["prefix_tail"], prefix.narrow(1, prefix.shape[1] - 4, 4), 1e-5);
        Close.Assert(golden, "prefix_hidden", golden["prefix_hidden"], sequence.Before.squeeze(1), 1e-4);
        var masks = full([1, golden.Integer("block_size")], model.Model.Config.MaskToken, ScalarType.Int64, TestDevice.Device);
        Close.Assert(golden, "block_embeds", golden["block_embeds"], model.Model.Embed(masks, 0).squeeze(0), 1e-5);
    }

    [Theory, MemberData(nameof(Files))]
    public void Every_pass_matches_the_reference(string path)
    {
        using var golden = Fixture.Open(path);
        var passes = new List<BlockPass>();
        var tokens = FlashParity.Generate(
            model,
            golden,
            path,
            pass =>
            {
                var step = passes.Count;
                passes.Add(pass);
                using var scope = NewDisposeScope();
                if (step == 0 && Has(golden, "logits_first"))
                {
                    Close.Assert(golden, "logits_first", golden["logits_first"], pass.Logits, 1e-4);
                }

                if (pass.Pass == 0 && pass.Block == golden.Integer("later_block") && Has(golden, "logits_later"))
                {
                    Close.Assert(golden, "logits_later", golden["logits_later"], pass.Logits, 1e-4);
                }
            }
        );
        FlashParity.AssertPasses(golden, passes);
        Assert.Equal(golden["step_block"].data<long>(), passes.Select(pass => (long)pass.Block));
        Assert.Equal(golden["step_k"].data<long>(), passes.Select(pass => (long)pass.Pass));
        AssertNear(golden, "step_pmi", passes.Select(pass => pass.Choice.Scores));
        AssertNear(golden, "step_noise", passes.Select(pass => pass.Choice.Noise));
        Close.AssertEqual(golden, "sampled", golden["sampled"], tensor(tokens));
    }

    [Theory, MemberData(nameof(Files))]
    public void A_stop_token_ends_the_speech_with_places_still_open(string path)
    {
        using var golden = Fixture.Open(path);
        if (!golden.Metadata.ContainsKey("stop_token"))
        {
            return;
        }

        var passes = 0;
        var stop = (int)golden.Integer("stop_token");
        var tokens = FlashParity.Generate(model, golden, path, _ => passes++, stop);
        Assert.Equal(golden.Integer("stop_steps"), passes);
        Assert.Equal(stop, tokens[^1]);
        Close.AssertEqual(golden, "stop_sampled", golden["stop_sampled"], tensor(tokens[..^1]));
        Assert.Contains(model.Model.Config.MaskToken, tokens);
        Assert.DoesNotContain(model.Model.Config.MaskToken, model.Model.Config.SpeechCodesOf(tokens));
    }

    private static bool Has(Fixture golden, string tensor) => golden.Tensors.Contains(tensor);

    /// <summary>Compares numbers of all passes; of a short block the rest is left out.</summary>
    private static void AssertNear(Fixture golden, string what, IEnumerable<float[]> ours)
    {
        if (!Has(golden, what))
        {
            return;
        }

        var worst = 0.0;
        foreach (var (step, numbers) in ours.Index())
        {
            var theirs = golden[what][step].data<float>().ToArray();
            worst = Math.Max(worst, numbers.Zip(theirs).Max(pair => Math.Abs(pair.First - pair.Second)));
        }

        Close.AssertWithin($"{golden.Name} {what}, absolute", worst, ScoreBound);
    }

    public sealed class Model() : LoadedT3("t3_flash", T3Config.Flash, "voice");
}

/// <summary>Runs of Flash's T3 as the fixtures have them.</summary>
internal static class FlashParity
{
    /// <summary>Generates the recorded speech.</summary>
    /// <param name="t3">The model.</param>
    /// <param name="golden">The recording.</param>
    /// <param name="path">Its path.</param>
    /// <param name="observer">Receives every pass.</param>
    /// <param name="stop">Ends the speech; null for the model's own token.</param>
    /// <param name="noise">The request's random numbers; null for those of the recording's seed.</param>
    public static int[] Generate(
        LoadedT3 t3,
        Fixture golden,
        string path,
        Action<BlockPass> observer,
        int? stop = null,
        NoiseSource? noise = null
    )
    {
        using var seeded = new NoiseSource(golden.Integer("seed"));
        using var decoder = new BlockT3Decoder(t3.Model, capacity: 1)
        {
            Observer = observer,
            StopToken = stop ?? t3.Model.Config.StopSpeechToken,
        };
        return decoder
            .Generate(
                T3Parity.TextTokens(golden, t3.Model.Config),
                T3Parity.Voice(t3, path),
                Options(golden),
                noise ?? seeded,
                cancellationToken: TestContext.Current.CancellationToken
            )
            .SpeechTokens;
    }

    /// <summary>Compares candidates and blocks of every pass.</summary>
    public static void AssertPasses(Fixture golden, IReadOnlyList<BlockPass> passes)
    {
        Close.AssertEqual(golden, "step_tokens", golden["step_tokens"], Padded(pass => pass.Tokens));
        if (golden.Tensors.Contains("step_sampled"))
        {
            Close.AssertEqual(golden, "step_sampled", golden["step_sampled"], Padded(pass => pass.Choice.Candidates));
        }

        Tensor Padded(Func<BlockPass, long[]> row)
        {
            var width = (int)golden["step_tokens"].shape[1];
            return tensor(passes.SelectMany(pass => row(pass).Concat(Enumerable.Repeat(-1L, width - row(pass).Length))).ToArray());
        }
    }

    /// <summary>Settings as the metadata gives them.</summary>
    public static SamplingOptions Options(Fixture golden) =>
        new()
        {
            Exaggeration = golden.Number("exaggeration"),
            CfgWeight = golden.Number("cfg_scale"),
            Temperature = golden.Number("temperature"),
            BlockSize = (int)golden.Integer("block_size"),
            BlockSteps = (int)golden.Integer("num_steps"),
            TimeShift = golden.Number("time_shift_tau"),
            ScheduleShift = golden.Number("schedule_t_shift"),
            PositionTemperature = golden.Number("position_temperature"),
            FixedPrior = golden.Metadata["prior"] == "true",
            MaxSpeechTokens = (int)
                golden.Integer(golden.Metadata.ContainsKey("total_speech_len") ? "total_speech_len" : "max_speech_tokens"),
        };
}
