using System.Globalization;

namespace Chatterbox.Benchmarks;

/// <summary>How measurements are told.</summary>
internal static class Report
{
    /// <summary>Prints a line, its numbers as in English.</summary>
    public static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    /// <summary>The middle of some measurements.</summary>
    public static double Median(IReadOnlyCollection<double> values) => values.Order().ElementAt(values.Count / 2);
}
