using Chatterbox.T3;

namespace Chatterbox.Tests.T3;

public class SamplingSettingsTests
{
    [Fact]
    public void What_is_left_open_is_the_models_own()
    {
        Assert.Equal(new(0.5, 0.5, 0.8, 0.05, 1, 0, 1.2, 1000), SamplingSettings.Resolve(new(), T3Config.English));
        Assert.Equal(new(0.5, 0.5, 0.8, 0.05, 1, 0, 1.2, 1000), SamplingSettings.Resolve(new(), T3Config.Multilingual));
        Assert.Equal(new(0, 0, 0.8, 0, 0.95, 1000, 1.2, 1001), SamplingSettings.Resolve(new(), T3Config.Turbo));
        Assert.Equal(new(0, 0, 0.8, 0, 0.95, 1000, 1.2, 1001), SamplingSettings.Resolve(new(), T3Config.Nano));
        Assert.Equal(
            new(0.5, 1, 0.6, 0, 1, 0, 1, 4096) { Blocks = new(16, 10, 0.1, 0.5, 5, true) },
            SamplingSettings.Resolve(new(), T3Config.Flash)
        );
    }

    [Fact]
    public void What_is_given_is_taken()
    {
        var options = new SamplingOptions
        {
            Exaggeration = 2,
            CfgWeight = 0,
            Temperature = 0,
            MinP = 1,
            TopP = 0.1,
            RepetitionPenalty = 1,
            MaxSpeechTokens = 4096,
        };
        Assert.Equal(new(2, 0, 0, 1, 0.1, 0, 1, 4096), SamplingSettings.Resolve(options, T3Config.English));
        Assert.Equal(0, SamplingSettings.Resolve(new() { TopK = 0 }, T3Config.Turbo).TopK);
        var blocks = new SamplingOptions
        {
            BlockSize = 128,
            BlockSteps = 1,
            TimeShift = 0,
            ScheduleShift = 0,
            PositionTemperature = 0,
            FixedPrior = false,
        };
        Assert.Equal(new(128, 1, 0, 0, 0, false), SamplingSettings.Resolve(blocks, T3Config.Flash).Blocks);
    }

    public static TheoryData<string, SamplingOptions> OutOfRangeOfBlocks =>
        new()
        {
            {
                nameof(SamplingOptions.BlockSize),
                new() { BlockSize = 0 }
            },
            {
                nameof(SamplingOptions.BlockSize),
                new() { BlockSize = 129 }
            },
            {
                nameof(SamplingOptions.BlockSteps),
                new() { BlockSteps = 0 }
            },
            {
                nameof(SamplingOptions.BlockSteps),
                new() { BlockSteps = 129 }
            },
            {
                nameof(SamplingOptions.TimeShift),
                new() { TimeShift = -0.1 }
            },
            {
                nameof(SamplingOptions.TimeShift),
                new() { TimeShift = double.NaN }
            },
            {
                nameof(SamplingOptions.ScheduleShift),
                new() { ScheduleShift = 10.1 }
            },
            {
                nameof(SamplingOptions.PositionTemperature),
                new() { PositionTemperature = -1 }
            },
        };

    [Theory, MemberData(nameof(OutOfRangeOfBlocks))]
    public void Settings_of_blocks_have_ranges_and_are_flashs_alone(string parameter, SamplingOptions options)
    {
        var error = Assert.Throws<RequestException>(() => SamplingSettings.Resolve(options, T3Config.Flash));
        Assert.Equal(parameter, error.Parameter);
        Assert.Contains("it must be from", error.Message, StringComparison.Ordinal);
        foreach (var other in new[] { T3Config.English, T3Config.Turbo })
        {
            var lacking = Assert.Throws<RequestException>(() => SamplingSettings.Resolve(options, other));
            Assert.Equal(parameter, lacking.Parameter);
            Assert.Contains("no such setting", lacking.Message, StringComparison.Ordinal);
        }
    }

    public static TheoryData<string, SamplingOptions> NotOfFlash =>
        new()
        {
            {
                nameof(SamplingOptions.MinP),
                new() { MinP = 0.1 }
            },
            {
                nameof(SamplingOptions.TopP),
                new() { TopP = 0.9 }
            },
            {
                nameof(SamplingOptions.TopK),
                new() { TopK = 5 }
            },
            {
                nameof(SamplingOptions.RepetitionPenalty),
                new() { RepetitionPenalty = 1.2 }
            },
        };

    [Theory, MemberData(nameof(NotOfFlash))]
    public void Flash_refuses_what_it_does_not_have(string parameter, SamplingOptions options) =>
        Assert.Equal(parameter, Assert.Throws<RequestException>(() => SamplingSettings.Resolve(options, T3Config.Flash)).Parameter);

    [Fact]
    public void A_fixed_prior_is_flashs_alone() =>
        Assert.Equal(
            nameof(SamplingOptions.FixedPrior),
            Assert.Throws<RequestException>(() => SamplingSettings.Resolve(new() { FixedPrior = true }, T3Config.English)).Parameter
        );

    public static TheoryData<string, SamplingOptions> OutOfRange =>
        new()
        {
            {
                nameof(SamplingOptions.Exaggeration),
                new() { Exaggeration = -0.1 }
            },
            {
                nameof(SamplingOptions.Exaggeration),
                new() { Exaggeration = 2.1 }
            },
            {
                nameof(SamplingOptions.CfgWeight),
                new() { CfgWeight = -1 }
            },
            {
                nameof(SamplingOptions.CfgWeight),
                new() { CfgWeight = double.NaN }
            },
            {
                nameof(SamplingOptions.Temperature),
                new() { Temperature = -0.1 }
            },
            {
                nameof(SamplingOptions.Temperature),
                new() { Temperature = double.PositiveInfinity }
            },
            {
                nameof(SamplingOptions.MinP),
                new() { MinP = 1.1 }
            },
            {
                nameof(SamplingOptions.TopP),
                new() { TopP = 0 }
            },
            {
                nameof(SamplingOptions.TopP),
                new() { TopP = 1.01 }
            },
            {
                nameof(SamplingOptions.RepetitionPenalty),
                new() { RepetitionPenalty = 0.9 }
            },
            {
                nameof(SamplingOptions.RepetitionPenalty),
                new() { RepetitionPenalty = 11 }
            },
            {
                nameof(SamplingOptions.MaxSpeechTokens),
                new() { MaxSpeechTokens = 0 }
            },
            {
                nameof(SamplingOptions.MaxSpeechTokens),
                new() { MaxSpeechTokens = 4097 }
            },
        };

    [Theory, MemberData(nameof(OutOfRange))]
    public void What_is_out_of_range_is_refused_by_name(string parameter, SamplingOptions options)
    {
        var error = Assert.Throws<RequestException>(() => SamplingSettings.Resolve(options, T3Config.English));
        Assert.Equal(parameter, error.Parameter);
        Assert.StartsWith(parameter + " is ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_message_of_a_range_says_both_ends()
    {
        Assert.Contains(
            "above 0 and at most 1.",
            Assert.Throws<RequestException>(() => SamplingSettings.Resolve(new() { TopP = 0 }, T3Config.English)).Message,
            StringComparison.Ordinal
        );
        Assert.Contains(
            "from 0 to 5.",
            Assert.Throws<RequestException>(() => SamplingSettings.Resolve(new() { Temperature = 9 }, T3Config.English)).Message,
            StringComparison.Ordinal
        );
    }

    public static TheoryData<string, SamplingOptions> OfOtherModels =>
        new()
        {
            {
                nameof(SamplingOptions.Exaggeration),
                new() { Exaggeration = 0.5 }
            },
            {
                nameof(SamplingOptions.CfgWeight),
                new() { CfgWeight = 0.5 }
            },
            {
                nameof(SamplingOptions.MinP),
                new() { MinP = 0.05 }
            },
        };

    [Theory, MemberData(nameof(OfOtherModels))]
    public void Turbo_and_nano_refuse_what_they_do_not_have(string parameter, SamplingOptions options)
    {
        Assert.Equal(parameter, Assert.Throws<RequestException>(() => SamplingSettings.Resolve(options, T3Config.Turbo)).Parameter);
        Assert.Equal(parameter, Assert.Throws<RequestException>(() => SamplingSettings.Resolve(options, T3Config.Nano)).Parameter);
        SamplingSettings.Resolve(
            new()
            {
                Exaggeration = 0,
                CfgWeight = 0,
                MinP = 0,
            },
            T3Config.Turbo
        );
    }

    [Fact]
    public void English_refuses_top_k()
    {
        Assert.Equal(
            nameof(SamplingOptions.TopK),
            Assert.Throws<RequestException>(() => SamplingSettings.Resolve(new() { TopK = 5 }, T3Config.English)).Parameter
        );
        SamplingSettings.Resolve(new() { TopK = 0 }, T3Config.English);
    }

    [Fact]
    public void Only_speech_codes_before_the_stop_token_are_sound() =>
        Assert.Equal([5, 6560, 7], T3Config.English.SpeechCodesOf([5, 6561, 6560, 8193, 7, 6562, 9]));

    [Fact]
    public void The_steps_are_taken_in_the_references_order()
    {
        Assert.Equal(
            [SamplingStep.RepetitionPenalty, SamplingStep.Temperature, SamplingStep.MinP, SamplingStep.TopP],
            T3Config.English.Sampling.Order
        );
        Assert.Equal(
            [SamplingStep.Temperature, SamplingStep.TopK, SamplingStep.TopP, SamplingStep.RepetitionPenalty],
            T3Config.Turbo.Sampling.Order
        );
    }
}
