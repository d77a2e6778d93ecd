namespace Chatterbox.Engine;

/// <summary>What a request needs next.</summary>
internal enum Stage
{
    /// <summary>A piece of text that is not open yet.</summary>
    Begin,

    /// <summary>The next chunk's speech tokens are not all known.</summary>
    Steps,

    /// <summary>A chunk, a stretch of a recording, or a job can be done.</summary>
    Due,

    /// <summary>One of these is being done.</summary>
    InHand,

    /// <summary>Nothing until its reader has read more of the audio.</summary>
    Paused,

    /// <summary>To be closed: its caller has disconnected, or its time is up.</summary>
    Ended,
}

/// <summary>What the scheduler knows of a request.</summary>
/// <param name="Stage">What comes next.</param>
/// <param name="Worker">The worker that has begun it; null where any may continue it.</param>
/// <param name="IsOpen">Whether it takes a place of the worker's.</param>
/// <param name="CanStep">Whether more speech tokens follow, for the next chunk or a later one.</param>
/// <param name="PlaybackLeft">Time until its listener has played all there is; negative where playback has stalled, null where
/// nothing is being played, the longest time where no one listens yet.</param>
/// <param name="NextTurn">How long its next turn takes.</param>
internal readonly record struct Standing(Stage Stage, object? Worker, bool IsOpen, bool CanStep, TimeSpan? PlaybackLeft, TimeSpan NextTurn);

/// <summary>What a worker can do.</summary>
/// <param name="StepWidth">Utterances that it steps together.</param>
/// <param name="VoiceWidth">Chunks that it voices together.</param>
/// <param name="MaxOpen">Most utterances that it has open.</param>
/// <param name="Overlaps">Whether it steps while chunks are voiced.</param>
internal readonly record struct WorkerLimits(int StepWidth, int VoiceWidth, int MaxOpen, bool Overlaps);

/// <summary>What a worker does next.</summary>
/// <param name="Ended">Requests to be ended; they have the places of the others.</param>
/// <param name="Admitted">Requests to be begun.</param>
/// <param name="Rows">Utterances to be stepped; those admitted are among them.</param>
/// <param name="Due">Chunks, stretches and jobs to be done.</param>
/// <param name="Turns">Requests whose turn begins.</param>
internal sealed record Plan<TRequest>(
    List<TRequest> Ended,
    List<TRequest> Admitted,
    List<TRequest> Rows,
    List<TRequest> Due,
    List<TRequest> Turns
)
{
    /// <summary>Whether there is nothing to do.</summary>
    public bool IsEmpty => Ended.Count == 0 && Rows.Count == 0 && Due.Count == 0;
}

/// <summary>Decides which requests are admitted, stepped and voiced next. No threads, no clock, no models: the state of requests in, plans
/// out.</summary>
/// <remarks>
/// Streams whose playback would stall come first (<see cref="StreamPriority"/>), then first chunks and whole pieces, then streams with
/// enough audio left, and last what no one listens to yet. Among equals clients alternate: a turn is one chunk, piece, stretch or job, and
/// a client's requests follow each other.
/// A turn that has begun ends before that of an equal begins, so that a model that steps one utterance at a time completes chunk after
/// chunk.
/// </remarks>
/// <typeparam name="TRequest">A request.</typeparam>
internal sealed class Scheduler<TRequest>
    where TRequest : class
{
    /// <summary>Requests begun between two steps, so that those under way are not held up for long.</summary>
    public const int MostAdmitted = 8;

    /// <summary>Open utterances up to which steps for later chunks pause while a first chunk is voiced; among more there is always
    /// one.</summary>
    public const int MostPausing = 2;

    private readonly List<Entry> _entries = []; // in the order of their arrival
    private readonly Dictionary<string, Client> _clients = [];
    private long _turns;
    private long _arrived;

    /// <summary>How long turns take; follows longer ones at once, shorter ones slowly.</summary>
    public TimeSpan LongestTurn { get; private set; }

    /// <summary>Every request.</summary>
    public IEnumerable<TRequest> All => _entries.Select(entry => entry.Request);

    /// <summary>Number of requests.</summary>
    public int Count => _entries.Count;

    /// <summary>Adds a request. A client that has none joins at the end of the round.</summary>
    public void Add(string client, TRequest request)
    {
        if (!_clients.TryGetValue(client, out var known))
        {
            _clients[client] = known = new() { LastTurn = ++_turns };
        }

        known.Requests++;
        _entries.Add(new(client, known, request, _arrived++));
    }

    /// <summary>Takes a request out.</summary>
    /// <returns>False where it was not there.</returns>
    public bool Remove(TRequest request)
    {
        var index = IndexOf(request);
        if (index < 0)
        {
            return false;
        }

        var entry = _entries[index];
        _entries.RemoveAt(index);
        if (--entry.Client.Requests == 0)
        {
            _clients.Remove(entry.Name);
        }

        return true;
    }

    /// <summary>A request's turn is over: others of equal rank come first.</summary>
    /// <param name="request">The request.</param>
    /// <param name="taken">How long it took.</param>
    public void EndTurn(TRequest request, TimeSpan taken)
    {
        LongestTurn = taken > LongestTurn ? taken : (0.9 * LongestTurn) + (0.1 * taken);
        if (IndexOf(request) is >= 0 and var index)
        {
            var entry = _entries[index];
            entry.HasTurn = false;
            if (entry.Client.Requests == 1)
            {
                entry.Client.LastTurn = ++_turns; // after those that arrived meanwhile
            }
        }
    }

    /// <summary>Plans what a worker does next.</summary>
    /// <param name="worker">The worker.</param>
    /// <param name="limits">What it can do.</param>
    /// <param name="standing">Where a request stands.</param>
    public Plan<TRequest> Next(object worker, WorkerLimits limits, Func<TRequest, Standing> standing)
    {
        var plan = new Plan<TRequest>([], [], [], [], []);
        List<(Entry Entry, Standing At, double Rank)> line = [];
        var (open, inHand, firstInHand) = (0, 0, false);
        foreach (var entry in _entries)
        {
            var at = standing(entry.Request);
            if (at.Worker is not null && at.Worker != worker)
            {
                continue;
            }

            open += at is { IsOpen: true, Stage: not Stage.Ended } ? 1 : 0;
            inHand += at.Stage == Stage.InHand ? 1 : 0;
            firstInHand |= at is { Stage: Stage.InHand, PlaybackLeft: null };
            if (at.Stage == Stage.Ended)
            {
                plan.Ended.Add(entry.Request);
            }
            else if (at.Stage != Stage.Paused)
            {
                line.Add((entry, at, StreamPriority.Rank(at.PlaybackLeft, at.NextTurn, LongestTurn)));
            }
        }

        line.Sort(Compare);
        var voiceRoom = limits.Overlaps && inHand > 0 ? 0 : limits.VoiceWidth;
        Choose(plan, limits, line, open, voiceRoom, firstInHand);
        return plan;
    }

    private void Choose(
        Plan<TRequest> plan,
        WorkerLimits limits,
        List<(Entry Entry, Standing At, double Rank)> line,
        int open,
        int voiceRoom,
        bool firstInHand
    )
    {
        var mayPause = limits.Overlaps && open <= MostPausing;
        var pauses = mayPause && firstInHand;

        // Without overlap the first in line that can be served decides: either chunks are voiced, or utterances are stepped.
        var voices = limits.Overlaps || line.Find(one => one.At.Stage != Stage.Begin || open < limits.MaxOpen).At.Stage == Stage.Due;
        var due = line.Where(one => voices && one.At.Stage == Stage.Due).Take(voiceRoom).ToList();
        foreach (var (entry, at, _) in due.Where(one => one.Rank <= 0 || due[0].Rank > 0)) // who has time enough holds up no first chunk
        {
            plan.Due.Add(entry.Request);
            BeginTurn(plan, entry);
            pauses |= mayPause && at.PlaybackLeft is null;
        }

        if (voices && !limits.Overlaps)
        {
            return;
        }

        foreach (var (entry, at, rank) in line.Where(one => one.At.Stage is Stage.Begin or Stage.Steps))
        {
            var hasRoom = plan.Rows.Count < limits.StepWidth;
            if (at.Stage == Stage.Begin && hasRoom && open + plan.Admitted.Count < limits.MaxOpen && plan.Admitted.Count < MostAdmitted)
            {
                plan.Admitted.Add(entry.Request);
                plan.Rows.Add(entry.Request);
                BeginTurn(plan, entry);
            }
            else if (at.Stage == Stage.Steps && hasRoom && (rank <= 0 || !pauses))
            {
                plan.Rows.Add(entry.Request);
                BeginTurn(plan, entry);
            }
        }

        // Then, where chunks are voiced meanwhile, what is needed for later chunks only. Not while a first chunk is voiced: its listener
        // waits, and its pass takes longer while T3 runs.
        if (limits.Overlaps && !pauses)
        {
            var ahead = line.Where(one => one.At is { Stage: Stage.Due or Stage.InHand, CanStep: true });
            plan.Rows.AddRange(ahead.Take(limits.StepWidth - plan.Rows.Count).Select(one => one.Entry.Request));
        }
    }

    private static int Compare((Entry Entry, Standing At, double Rank) x, (Entry Entry, Standing At, double Rank) y)
    {
        var order = x.Rank.CompareTo(y.Rank);
        order = order != 0 ? order : y.Entry.HasTurn.CompareTo(x.Entry.HasTurn);
        order = order != 0 ? order : x.Entry.Client.LastTurn.CompareTo(y.Entry.Client.LastTurn);
        return order != 0 ? order : x.Entry.Number.CompareTo(y.Entry.Number);
    }

    private void BeginTurn(Plan<TRequest> plan, Entry entry)
    {
        if (!entry.HasTurn)
        {
            plan.Turns.Add(entry.Request);
            entry.HasTurn = true;
            entry.Client.LastTurn = ++_turns;
        }
    }

    private int IndexOf(TRequest request) => _entries.FindIndex(entry => entry.Request == request);

    private sealed class Client
    {
        public int Requests { get; set; }

        /// <summary>Number of its last turn: the lowest comes next.</summary>
        public long LastTurn { get; set; }
    }

    private sealed class Entry(string name, Client client, TRequest request, long number)
    {
        public string Name => name;

        public Client Client => client;

        public TRequest Request => request;

        /// <summary>Place in the order of arrival.</summary>
        public long Number => number;

        public bool HasTurn { get; set; }
    }
}
