using Chatterbox.T3;
using Chatterbox.T3.Blocks;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.T3.Blocks;

public class BlockT3DecoderTests
{
    private static readonly SamplingOptions Short = new()
    {
        MaxSpeechTokens = 20,
        BlockSize = 8,
        BlockSteps = 4,
        Temperature = 1,
    };

    [Fact]
    public void The_same_seed_gives_the_same_speech_and_another_another()
    {
        using var tiny = TinyT3.Flash();
        Assert.Equal(Generate(tiny, 1, Short), Generate(tiny, 1, Short));
        Assert.NotEqual(Generate(tiny, 1, Short), Generate(tiny, 2, Short));
        Assert.Equal(20, Generate(tiny, 1, Short).Length);
    }

    [Fact]
    public void Each_block_is_filled_in_within_its_passes_and_the_last_may_be_short()
    {
        using var tiny = TinyT3.Flash();
        var passes = Passes(tiny, Short with { TimeShift = 0 });
        Assert.Equal([8, 8, 4], passes.GroupBy(pass => pass.Block).Select(block => block.First().Tokens.Length));
        Assert.Equal([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3], passes.Select(pass => pass.Pass));
        foreach (var block in passes.GroupBy(pass => pass.Block))
        {
            var open = block.Select(pass => pass.Tokens.Count(token => token == tiny.Model.Config.MaskToken)).ToList();
            Assert.Equal(open.OrderDescending(), open);
            Assert.Equal(0, open[^1]);
            foreach (var (before, after) in block.Zip(block.Skip(1)))
            {
                Assert.All(
                    before.Tokens.Zip(after.Tokens),
                    pair => Assert.True(pair.First == tiny.Model.Config.MaskToken || pair.First == pair.Second)
                );
            }
        }
    }

    [Fact]
    public void A_time_shift_takes_fewer_passes_and_zero_temperatures_draw_nothing()
    {
        using var tiny = TinyT3.Flash();
        Assert.True(Passes(tiny, Short with { TimeShift = 1 }).Count < Passes(tiny, Short with { TimeShift = 0 }).Count);
        var sure = Short with { Temperature = 0, PositionTemperature = 0 };
        Assert.Equal(Generate(tiny, 1, sure), Generate(tiny, 2, sure));
        Assert.NotEqual(Generate(tiny, 1, sure), Generate(tiny, 1, sure with { PositionTemperature = 1 }));
        Assert.Equal(Generate(tiny, 1, Short with { PositionTemperature = 1 }), Generate(tiny, 1, Short with { PositionTemperature = 50 }));
    }

    [Fact]
    public void Every_setting_of_blocks_changes_the_speech()
    {
        using var tiny = TinyT3.Flash();
        var plain = Generate(tiny, 1, Short);
        SamplingOptions[] changed =
        [
            Short with
            {
                BlockSize = 5,
            },
            Short with
            {
                BlockSteps = 2,
            },
            Short with
            {
                TimeShift = 1,
            },
            Short with
            {
                ScheduleShift = 3,
            },
            Short with
            {
                PositionTemperature = 0,
            },
            Short with
            {
                CfgWeight = 0,
            },
            Short with
            {
                CfgWeight = 2,
            },
            Short with
            {
                Exaggeration = 2,
            },
            Short with
            {
                Temperature = 0.3,
            },
            Short with
            {
                CfgWeight = 0,
                FixedPrior = false,
            },
        ];
        Assert.All(changed, options => Assert.NotEqual(plain, Generate(tiny, 1, options)));
        Assert.NotEqual(Passes(tiny, Short)[0].Choice.Scores, Passes(tiny, Short with { FixedPrior = false })[0].Choice.Scores);
    }

    [Fact]
    public void Guidance_takes_voice_and_text_away_and_leaves_the_start()
    {
        using var tiny = TinyT3.Flash();
        using var scope = NewDisposeScope();
        var rows = tiny.Model.Prefix(TinyT3.Text, TinyT3.Voice, SamplingSettings.Resolve(Short, tiny.Model.Config));
        Assert.Equal([2, 1 + 4 + 1 + TinyT3.Text.Length + 2 + 1, 16], rows.shape);
        var before = rows.shape[1] - 1;
        Assert.Equal(0, rows[1].narrow(0, 0, before).abs().max().item<float>());
        Assert.Equal(0, (rows[0][before] - rows[1][before]).abs().max().item<float>());
        Assert.True(rows[0].narrow(0, 0, before).abs().max().item<float>() > 0);
    }

    [Fact]
    public void A_block_sees_all_of_itself_and_what_is_committed_alone()
    {
        using var tiny = TinyT3.Flash();
        var model = tiny.Model;
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var cache = model.CreateCache(1);
        cache.Reserve(20);
        var prefix = model.Prefix(TinyT3.Text, TinyT3.Voice, SamplingSettings.Resolve(Short with { CfgWeight = 0 }, model.Config));
        model.Run(prefix, cache, new(0, 1, 0));
        Tensor Pass(params long[] block) =>
            model.Run(model.Embed(tensor(block, [1, block.Length]), 0), cache, new(0, 1, (int)prefix.shape[1])).clone();
        var (first, again, other) = (Pass(3, 60, 60, 9), Pass(3, 60, 60, 9), Pass(3, 60, 60, 10));
        Assert.Equal(first.data<float>(), again.data<float>()); // nothing of a pass is left in the cache
        Assert.True(Close.RelativeError(first[0][0], other[0][0]) > 1e-4); // the first place sees the last
    }

    [Fact]
    public void Sequences_stepped_in_mixture_are_as_each_alone()
    {
        using var tiny = TinyT3.Flash();
        using var decoder = new BlockT3Decoder(tiny.Model, capacity: 2);
        using var firstNoise = new NoiseSource(1);
        using var secondNoise = new NoiseSource(2);
        using var first = decoder.Start(TinyT3.Text, TinyT3.Voice, Short, firstNoise);
        decoder.Step(first);
        decoder.Step(first);
        using var second = decoder.Start(TinyT3.Text, TinyT3.Voice, Short with { BlockSize = 5, MaxSpeechTokens = 31 }, secondNoise);
        while (!first.Finished || !second.Finished)
        {
            decoder.Step(first, second);
        }

        Assert.Equal(Generate(tiny, 1, Short), first.SpeechTokens);
        Assert.Equal(Generate(tiny, 2, Short with { BlockSize = 5, MaxSpeechTokens = 31 }), second.SpeechTokens);
    }

    [Fact]
    public void Speech_comes_block_by_block_and_a_step_is_one_pass()
    {
        using var tiny = TinyT3.Flash();
        using var decoder = new BlockT3Decoder(tiny.Model, capacity: 1);
        using var noise = new NoiseSource(1);
        using var sequence = decoder.Start(TinyT3.Text, TinyT3.Voice, Short with { TimeShift = 0 }, noise);
        var counts = new List<int>();
        while (!sequence.Finished)
        {
            decoder.Step(sequence);
            counts.Add(sequence.SpeechTokens.Count);
        }

        // Four passes and one for the cache for each block but the last.
        Assert.Equal([0, 0, 0, 8, 8, 8, 8, 8, 16, 16, 16, 16, 16, 20], counts);
        Assert.True(sequence.ReachedLimit);
    }

    [Fact]
    public void The_limit_follows_from_the_text_and_a_lower_one_can_be_set()
    {
        using var tiny = TinyT3.Flash(config => config with { MaxSpeechTokens = 400 });
        Assert.Equal(
            300,
            Generate(
                tiny,
                1,
                new()
                {
                    BlockSize = 64,
                    BlockSteps = 2,
                    MaxSpeechTokens = 400,
                }
            ).Length
        );
        Assert.Equal(
            30,
            Generate(
                tiny,
                1,
                new()
                {
                    BlockSize = 64,
                    BlockSteps = 2,
                    MaxSpeechTokens = 30,
                }
            ).Length
        );
    }

    [Fact]
    public void A_stop_token_ends_the_speech_where_it_stands_first()
    {
        using var tiny = TinyT3.Flash();
        var spoken = Generate(tiny, 1, Short);
        var stop = spoken[11];
        using var decoder = new BlockT3Decoder(tiny.Model, capacity: 1) { StopToken = stop };
        using var noise = new NoiseSource(1);
        var result = decoder.Generate(TinyT3.Text, TinyT3.Voice, Short, noise, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(stop, result.SpeechTokens[^1]);
        Assert.Single(result.SpeechTokens, token => token == stop);
        Assert.False(result.ReachedLimit);
        Assert.InRange(result.SpeechTokens.Length, 1, 12);
    }

    [Fact]
    public void A_place_is_free_again_once_its_sequence_is_disposed_and_a_refused_request_takes_none()
    {
        using var tiny = TinyT3.Flash();
        using var decoder = new BlockT3Decoder(tiny.Model, capacity: 1);
        using var noise = new NoiseSource(1);
        Assert.Throws<RequestException>(() => decoder.Start([], TinyT3.Voice, Short, noise));
        var sequence = decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise);
        Assert.Throws<InvalidOperationException>(() => decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise));
        sequence.Dispose();
        sequence.Dispose();
        using var next = decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise);
        Assert.Throws<InvalidOperationException>(() => decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise));
    }

    [Fact]
    public void Cancellation_is_noticed_before_the_next_pass()
    {
        using var tiny = TinyT3.Flash();
        using var source = new CancellationTokenSource();
        var passes = 0;
        using var decoder = new BlockT3Decoder(tiny.Model, capacity: 1) { Observer = _ => Leave(++passes) };
        using var noise = new NoiseSource(1);
        Assert.Throws<OperationCanceledException>(() =>
            decoder.Generate(TinyT3.Text, TinyT3.Voice, Short, noise, cancellationToken: source.Token)
        );
        Assert.Equal(2, passes);

        void Leave(int pass)
        {
            if (pass == 2)
            {
                source.Cancel();
            }
        }
    }

    [Fact]
    public void Logits_that_are_not_finite_are_an_error()
    {
        using var tiny = TinyT3.Flash(scale: name => name == "speech_head.weight" ? float.NaN : 1);
        Assert.Throws<InvalidOutputException>(() => Generate(tiny, 1, Short with { FixedPrior = false }));
    }

    [Fact]
    public void No_tensor_outlives_its_sequence()
    {
        using var tiny = TinyT3.Flash();
        Generate(tiny, 1, Short);
        var before = LiveTensors.Settled();
        for (var i = 0; i < 3; i++)
        {
            Generate(tiny, i, Short with { CfgWeight = 0, FixedPrior = false });
            Generate(tiny, i, Short);
        }

        Assert.Equal(before, LiveTensors.Settled());
    }

    private static int[] Generate(TinyT3 tiny, long seed, SamplingOptions options) => tiny.Generate(seed, options).SpeechTokens;

    private static List<BlockPass> Passes(TinyT3 tiny, SamplingOptions options)
    {
        var passes = new List<BlockPass>();
        using var decoder = new BlockT3Decoder(tiny.Model, capacity: 1) { Observer = passes.Add };
        using var noise = new NoiseSource(1);
        decoder.Generate(TinyT3.Text, TinyT3.Voice, options, noise, cancellationToken: TestContext.Current.CancellationToken);
        return passes;
    }
}
