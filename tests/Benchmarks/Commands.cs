using System.CommandLine;
using System.Globalization;

namespace Chatterbox.Benchmarks;

/// <summary>Everything that can be measured, a command each. Each command measures in the process that it runs in: a fresh one.</summary>
internal static class Commands
{
    private static readonly Argument<string?> Device = new("device")
    {
        Description = "cpu, cuda or cuda:1; the first GPU if there is one.",
        Arity = ArgumentArity.ZeroOrOne,
    };
    private static readonly Argument<string> Folder = new("folder") { Description = "A checkpoint." };
    private static readonly Argument<string> Models = new("models") { Description = "Names of models, separated by commas." };

    /// <summary>The command line.</summary>
    public static RootCommand Create()
    {
        var root = new RootCommand(
            "What Chatterbox.Net costs in time and memory. Synthetic weights do: they hardly ever say stop, so that as many tokens are made as are asked for."
        );
        root.Add(Table());
        root.Add(T3());
        root.Add(Voice());
        root.Add(Speech());
        root.Add(Memory());
        root.Add(Start());
        root.Add(Chunks());
        root.Add(Context());
        root.Add(Synthesis());
        root.Add(Service());
        root.Add(Stream());
        root.Add(Interruption());
        root.Add(Load());
        root.Add(Encoders());
        root.Add(Fleet());
        root.Add(Cpu());
        Hosts().ForEach(root.Add);
        return root;
    }

    private static Command Table()
    {
        var reference = new Option<bool>("--no-reference")
        {
            Description = "Leave out the Python reference, which takes most of the time.",
        };
        var command = new Command(
            "table",
            "The whole table: each part at full size in a process of its own, with the Python reference beside it if `python3 -c 'import chatterbox'` works."
        )
        {
            Device,
            reference,
        };
        command.SetAction(parsed => TableBenchmark.Run(parsed.GetValue(Device), !parsed.GetValue(reference)));
        return command;
    }

    private static Command T3()
    {
        var variant = OneOf("variant", "english", "multilingual", "turbo", "nano");
        var command = new Command("t3", "T3 at full size: the first token, a token with everything that belongs to it, 250 tokens.")
        {
            variant,
            Device,
        };
        command.SetAction(parsed => T3Benchmark.Run(parsed.GetRequiredValue(variant), parsed.GetValue(Device)));
        return command;
    }

    private static Command Voice()
    {
        var flow = OneOf("flow", "standard", "meanflow");
        var command = new Command(
            "voice",
            "What comes behind T3, at full size: 10 s of speech for a prompt of 10 s; and making that voice."
        )
        {
            flow,
            Device,
        };
        command.SetAction(parsed => VoiceBenchmark.Run(parsed.GetRequiredValue(flow), parsed.GetValue(Device)));
        return command;
    }

    private static Command Speech()
    {
        var variant = OneOf("variant", "english", "turbo", "nano");
        var command = new Command(
            "speech",
            "Text in, 10 s of audio out, through the library's door; and what a GPU's memory holds before and after."
        )
        {
            variant,
            Device,
        };
        command.SetAction(parsed => SpeechBenchmark.Run(parsed.GetRequiredValue(variant), parsed.GetValue(Device)));
        return command;
    }

    private static Command Memory()
    {
        var variant = OneOf("variant", "english", "turbo", "nano");
        var command = new Command(
            "memory",
            "Where a GPU's memory goes: what each network takes as it is loaded, and each kind of work as it is first done."
        )
        {
            variant,
            Device,
        };
        command.SetAction(parsed => MemoryBenchmark.Run(parsed.GetRequiredValue(variant), parsed.GetValue(Device)));
        return command;
    }

    private static Command Start()
    {
        var variant = OneOf("variant", "english", "turbo", "nano");
        var command = new Command(
            "start",
            "From the start of a process until the model is ready, a converted checkpoint in the page cache; and until its first and second speech."
        )
        {
            variant,
            Device,
        };
        command.SetAction(parsed => StartBenchmark.Run(parsed.GetRequiredValue(variant), parsed.GetValue(Device)));
        return command;
    }

    private static Command Chunks()
    {
        var model = new Argument<string>("model") { Description = "A model's name, such as synthetic or synthetic-turbo, or a folder." };
        var tokens = Tokens(250);
        var command = new Command(
            "chunks",
            "Speech by the chunk against the same speech in one piece: the first chunk, what is left to hear when the next ones come, the whole."
        )
        {
            model,
            Device,
            tokens,
        };
        command.SetAction(parsed => ChunkBenchmark.Run(parsed.GetRequiredValue(model), parsed.GetValue(Device), parsed.GetValue(tokens)));
        return command;
    }

    private static Command Context()
    {
        var flow = OneOf("flow", "standard", "meanflow");
        var tokens = Tokens(500);
        var command = new Command("context", "What the left context of chunks costs, at full size: mel error and time.")
        {
            flow,
            Device,
            tokens,
        };
        command.SetAction(parsed => ContextBenchmark.Run(parsed.GetRequiredValue(flow), parsed.GetValue(Device), parsed.GetValue(tokens)));
        return command;
    }

    private static Command Synthesis()
    {
        var recording = new Argument<string?>("recording")
        {
            Description = "Of whom the voice is made; the checkpoint's own if there is none.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var tokens = Tokens(FullSize.Tokens);
        var repetitions = new Option<int>("--repetitions") { Description = "Measured syntheses.", DefaultValueFactory = _ => 3 };
        var precision = new Option<Precision?>("--precision") { Description = "Full or Fast; the device's default if it is left out." };
        var folder = new Argument<string>("folder") { Description = "A checkpoint; nano, turbo or english for a synthetic one." };
        var command = new Command(
            "synthesis",
            "Loads a checkpoint, makes a voice, synthesizes: the median of each stage, processor time, resident memory. DEVICE in the environment names the device."
        )
        {
            folder,
            recording,
            tokens,
            repetitions,
            precision,
        };
        command.SetAction(parsed =>
        {
            var name = parsed.GetRequiredValue(folder);
            SynthesisBenchmark.Run(
                Directory.Exists(name) ? name : FullSize.Checkpoint(name),
                parsed.GetValue(recording),
                parsed.GetValue(tokens),
                parsed.GetValue(repetitions),
                parsed.GetValue(precision)
            );
        });
        return command;
    }

    private static Command Service()
    {
        var command = new Command(
            "service",
            "What the service adds to a model that answers at once: the first byte, processor time of a stream."
        );
        command.SetAction(_ => ServiceBenchmark.Run());
        return command;
    }

    private static Command Stream()
    {
        var model = new Argument<string>("model") { Description = "A model's name, such as synthetic or synthetic-turbo, or a folder." };
        var command = new Command(
            "stream",
            "Speech by the chunk over HTTP, a real model in the service's own process: the first byte, what is left to hear when others come, the whole."
        )
        {
            model,
            Device,
        };
        command.SetAction(parsed => StreamBenchmark.Run(parsed.GetRequiredValue(model), parsed.GetValue(Device)));
        return command;
    }

    private static Command Interruption()
    {
        var model = new Argument<string>("model") { Description = "A model's name, or a folder.", DefaultValueFactory = _ => "tiny" };
        var command = new Command("interruption", "How long audio still arrives after a client has interrupted, over each WebSocket.")
        {
            model,
            Device,
        };
        command.SetAction(parsed => InterruptionBenchmark.Run(parsed.GetRequiredValue(model), parsed.GetValue(Device)));
        return command;
    }

    private static Command Load()
    {
        var model = new Argument<string>("model") { Description = "A model's name, such as synthetic or synthetic-turbo, or a folder." };
        var streams = Numbers("--streams", "Listeners of a closed loop, a row for each number.", "1,8,32,64");
        var rates = Numbers("--rates", "Requests a second that arrive as a Poisson process, a row for each rate.", "");
        var whole = Numbers("--whole", "Callers of a closed loop of whole pieces, a row for each number.", "");
        var formats = new Option<string>("--formats")
        {
            Description = "Formats that requests choose from.",
            DefaultValueFactory = _ => "pcm",
        };
        var leaving = new Option<double>("--leaving")
        {
            Description = "Share of the listeners who disconnect in the middle.",
            DefaultValueFactory = _ => 0.05,
        };
        var seconds = new Option<double>("--seconds") { Description = "Measured seconds a row.", DefaultValueFactory = _ => 15 };
        var settings = new Option<string[]>("--set")
        {
            Description = "A setting of the service, such as Engine:MaxStreams=32.",
            DefaultValueFactory = _ => [],
        };
        var csv = new Option<string?>("--csv") { Description = "File for the rows." };
        var command = new Command(
            "load",
            "The service under load, over HTTP in a process of its own: first audio, stalled playback, × real time."
        )
        {
            model,
            Device,
            streams,
            rates,
            whole,
            formats,
            leaving,
            seconds,
            settings,
            csv,
        };
        command.SetAction(parsed =>
            LoadBenchmark.Run(
                new(
                    parsed.GetRequiredValue(model),
                    parsed.GetValue(Device),
                    Split(parsed.GetValue(streams)),
                    Split(parsed.GetValue(rates)),
                    Split(parsed.GetValue(whole)),
                    parsed.GetRequiredValue(formats).Split(','),
                    parsed.GetValue(leaving),
                    parsed.GetValue(seconds),
                    parsed.GetValue(settings) ?? [],
                    parsed.GetValue(csv)
                )
            )
        );
        return command;

        static double[] Split(string? numbers) =>
            [
                .. (numbers ?? "")
                    .Split(',', StringSplitOptions.RemoveEmptyEntries)
                    .Select(number => double.Parse(number, CultureInfo.InvariantCulture)),
            ];
    }

    private static Option<string> Numbers(string name, string description, string byDefault) =>
        new(name) { Description = $"{description} Separated by commas.", DefaultValueFactory = _ => byDefault };

    private static Command Encoders()
    {
        var command = new Command(
            "encoders",
            "What each audio format costs in this process, next to ffmpeg: first byte of a stream, processor time, bytes."
        );
        command.SetAction(_ => EncoderBenchmark.Run());
        return command;
    }

    private static Command Fleet()
    {
        var command = new Command("fleet", "Memory of one service with several models: before, at the peak, after they are unloaded.")
        {
            Models,
        };
        command.SetAction(parsed => FleetBenchmark.Run(parsed.GetRequiredValue(Models)));
        return command;
    }

    private static Command Cpu()
    {
        var command = new Command(
            "cpu",
            "What runs on the CPU whatever the device: tokenising, resampling, reading weights, writing WAV. With BenchmarkDotNet."
        );
        command.SetAction(_ => CpuBenchmarks.Run());
        return command;
    }

    // The processes that others measure.
    private static List<Command> Hosts()
    {
        var service = new Command("service-host") { Hidden = true };
        service.SetAction(_ => ServiceBenchmark.Serve());
        var (served, where, voices) = (new Argument<string>("model"), new Argument<string>("device"), new Argument<string>("voices"));
        var stream = new Command("stream-host") { served, where, voices };
        stream.Hidden = true;
        stream.SetAction(parsed =>
            StreamBenchmark.Serve(parsed.GetRequiredValue(served), parsed.GetRequiredValue(where), parsed.GetRequiredValue(voices))
        );
        var (limits, more) = (new Argument<bool>("limits"), new Argument<string>("settings"));
        var load = new Command("load-host") { served, where, voices, limits, more };
        load.Hidden = true;
        load.SetAction(parsed =>
            LoadBenchmark.Serve(
                parsed.GetRequiredValue(served),
                parsed.GetRequiredValue(where),
                parsed.GetRequiredValue(voices),
                parsed.GetValue(limits),
                parsed.GetRequiredValue(more).Split(';', StringSplitOptions.RemoveEmptyEntries)
            )
        );
        var fleet = new Command("fleet-host") { Models };
        fleet.Hidden = true;
        fleet.SetAction(parsed => FleetBenchmark.Serve(parsed.GetRequiredValue(Models)));
        var start = new Command("start-host") { Folder, Device };
        start.Hidden = true;
        start.SetAction(parsed => StartBenchmark.Begin(parsed.GetRequiredValue(Folder), parsed.GetValue(Device)));
        var isChecked = new Argument<bool>("self-check");
        var loadTime = new Command("load-time-host") { Folder, isChecked, Device };
        loadTime.Hidden = true;
        loadTime.SetAction(parsed =>
            StartBenchmark.BeginLoad(parsed.GetRequiredValue(Folder), parsed.GetValue(Device), parsed.GetValue(isChecked))
        );
        return [service, stream, load, fleet, start, loadTime];
    }

    private static Argument<int> Tokens(int usually) =>
        new("tokens") { Description = "Speech tokens, 25 a second.", DefaultValueFactory = _ => usually };

    private static Argument<string> OneOf(string name, params string[] values)
    {
        var argument = new Argument<string>(name) { Description = string.Join(", ", values) };
        argument.AcceptOnlyFromAmong(values);
        return argument;
    }
}
